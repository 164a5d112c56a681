"""The lines that the page for a new token shows are run as they stand, with the token as narrow as it was proposed."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import httpx2

from tests.wire.server import Hub


def test_what_the_page_shows_uploads_and_downloads_with_the_narrow_tokens_it_made(
    hub: Hub, name: str, client_env: dict[str, str], tmp_path: Path
) -> None:
    hub.api("ada").create_repo(name, private=True)
    work = tmp_path / "work"
    work.mkdir()
    (work / "weights.bin").write_bytes(bytes(range(256)) * 500)
    with httpx2.Client(base_url=hub.url, timeout=60, trust_env=False, headers={"accept": "text/html"}) as ada:
        ada.post("/login", data={"name": "ada", "password": "correct horse battery staple"})

        def lines(purpose: str) -> list[str]:
            sent = {"repositories": name, "lasts": "7", "label": f"{purpose} {name}"}
            page = ada.post(f"/settings/tokens/new/{purpose}", data=sent)
            assert page.status_code == 200, page.text
            return [unescape(text) for text in re.findall(r"(?s)<pre[^>]*><code>(.*?)</code>", page.text)]

        shell, _, upload, *_ = lines("upload")
        run(f"{shell}\n{upload}", client_env, work)
        shell, _, download, *_, fetch = lines("download")
        assert "snapshots" in run(f"{shell}\n{download}", client_env, work)
        run(f"{shell}\n{fetch.replace('README.md', 'weights.bin')} -o got.bin", client_env, work)
    assert (work / "got.bin").read_bytes() == (work / "weights.bin").read_bytes()


def run(script: str, env: dict[str, str], where: Path) -> str:
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", script],
        env=env | {"PATH": path},
        cwd=where,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
