import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, errors, hf_hub_download, snapshot_download
from huggingface_hub._local_folder import get_local_download_paths

from tests.wire.server import Hub

BIG = os.urandom(3 * 2**20) + b"\0"
SMALL = b'{"a": 1}'


@pytest.fixture(scope="module")
def repo(hub: Hub) -> str:
    """A public repository with a small and a large file."""
    name = f"ada/files{time.monotonic_ns()}"
    ada = hub.api("ada")
    ada.create_repo(name)
    files = {
        "config.json": SMALL,
        "big.bin": BIG,
        "README.md": b"---\nlicense: mit\n---\n",
        "sub/ä b+c.txt": b"odd",
        "evil.html": b"<b>",
    }
    ada.create_commit(name, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="files")
    return name


def test_a_file_arrives_and_is_known_by_its_etag(hub: Hub, repo: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"endpoint": hub.url, "token": hub.tokens["bob"], "cache_dir": tmp_path}
    assert Path(hf_hub_download(repo, "big.bin", **options)).read_bytes() == BIG
    assert Path(hf_hub_download(repo, "config.json", **options)).read_bytes() == SMALL
    assert Path(hf_hub_download(repo, "sub/ä b+c.txt", **options)).read_bytes() == b"odd"
    info = hub.api("bob").get_hf_file_metadata(url=f"{hub.url}/{repo}/resolve/main/big.bin")
    assert info.size == len(BIG)
    assert info.commit_hash == hub.api("bob").model_info(repo).sha
    assert info.xet_file_data is not None  # it went up by Xet, so it may come down by it
    plain = hub.api("bob").get_hf_file_metadata(url=f"{hub.url}/{repo}/resolve/main/config.json")
    assert plain.xet_file_data is None


def test_a_snapshot_arrives_whole_and_is_not_fetched_twice(hub: Hub, repo: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"endpoint": hub.url, "token": hub.tokens["bob"], "cache_dir": tmp_path}
    first = Path(snapshot_download(repo, **options))
    assert (first / "big.bin").read_bytes() == BIG
    assert {path.name for path in first.iterdir()} == {
        ".gitattributes",
        "README.md",
        "big.bin",
        "config.json",
        "evil.html",
        "sub",
    }
    assert snapshot_download(repo, **options) == str(first)


@pytest.mark.parametrize("revision", ["main", "refs%2Fheads%2Fmain", "sha", "short"])
def test_a_file_is_found_under_every_name_of_its_revision(hub: Hub, repo: str, revision: str) -> None:
    sha = hub.api("bob").model_info(repo).sha or ""
    named = {"sha": sha, "short": sha[:7]}.get(revision, revision)
    with hub.http("bob") as http:
        answer = http.get(f"/{repo}/resolve/{named}/config.json")
    assert (answer.content, answer.headers["x-repo-commit"]) == (SMALL, sha)


def test_errors_have_the_clients_classes(hub: Hub, repo: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"endpoint": hub.url, "token": hub.tokens["bob"], "cache_dir": tmp_path}
    with pytest.raises(errors.EntryNotFoundError):
        hf_hub_download(repo, "nope.bin", **options)
    with pytest.raises(errors.RevisionNotFoundError):
        hf_hub_download(repo, "config.json", revision="nope", **options)
    with pytest.raises(errors.RepositoryNotFoundError):
        hf_hub_download("ada/never-there", "config.json", **options)
    sha = hub.api("bob").model_info(repo).sha
    absent = tmp_path / f"models--{repo.replace('/', '--')}" / ".no_exist" / str(sha) / "nope.bin"
    assert absent.exists(), "the answer named the revision, so the client remembers that the file is not there"


@pytest.mark.parametrize(
    ("wanted", "span"),
    [
        ("bytes=0-99", (0, 100)),
        ("bytes=1048570-2097160", (1048570, 2097161)),
        (f"bytes={len(BIG) - 10}-", (len(BIG) - 10, len(BIG))),
        ("bytes=-7", (len(BIG) - 7, len(BIG))),
    ],
)
def test_a_range_is_answered_with_206(hub: Hub, repo: str, wanted: str, span: tuple[int, int]) -> None:
    with hub.http("bob") as http:
        answer = http.get(f"/{repo}/resolve/main/big.bin", headers={"Range": wanted})
    assert answer.status_code == 206
    assert answer.content == BIG[slice(*span)]
    assert answer.headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/{len(BIG)}"


def test_ranges_outside_get_416_and_several_get_everything(hub: Hub, repo: str) -> None:
    with hub.http("bob") as http:
        outside = http.get(f"/{repo}/resolve/main/big.bin", headers={"Range": f"bytes={len(BIG)}-"})
        several = http.get(f"/{repo}/resolve/main/config.json", headers={"Range": "bytes=0-1,3-4"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(BIG)}")
    assert (several.status_code, several.content) == (200, SMALL)


def test_a_known_version_is_not_sent_again(hub: Hub, repo: str) -> None:
    with hub.http("bob") as http:
        etag = http.head(f"/{repo}/resolve/main/config.json").headers["etag"]
        again = http.get(f"/{repo}/resolve/main/config.json", headers={"If-None-Match": etag})
        stale = {"Range": "bytes=0-1", "If-Range": '"older"'}
        other = http.get(f"/{repo}/resolve/main/config.json", headers=stale)
    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, other.content) == (200, SMALL)


def test_a_broken_download_is_taken_up_where_it_stopped(hub: Hub, repo: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"endpoint": hub.url, "token": hub.tokens["bob"], "local_dir": tmp_path}
    with hub.http("bob") as http:
        etag = http.head(f"/{repo}/resolve/main/big.bin").headers["etag"].strip('"')
    part = get_local_download_paths(tmp_path, "big.bin").incomplete_path(etag)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(BIG[: 2**20])
    assert Path(hf_hub_download(repo, "big.bin", **options)).read_bytes() == BIG


def test_foreign_content_cannot_run_in_a_browser(hub: Hub, repo: str) -> None:
    with hub.http("bob") as http:
        headers = http.get(f"/{repo}/resolve/main/evil.html", headers={"Accept": "text/html"}).headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment")
    assert "sandbox" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/..%5c..%5cetc%5cpasswd",
        "/%252e%252e%252fetc%252fpasswd",
        "/config.json%00.txt",
        "/%ff%fe",
        "//etc/passwd",
        "/./config.json",
        "/sub/../config.json",
        "/" + "a/" * 3000,
    ],
)
def test_no_form_of_a_path_leaves_the_revision(hub: Hub, repo: str, path: str) -> None:
    request = f"GET /{repo}/resolve/main{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    status = int(hub.raw(request.encode()).split(b" ", 2)[1])
    assert status in (400, 404, 414), status


@pytest.mark.parametrize(
    "path",
    [
        "/ada/../admin",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/../../../etc/passwd",
        "/static/none.css",
        "/api/models/..%2f..",
    ],
)
def test_no_form_of_an_address_leaves_its_place(hub: Hub, path: str) -> None:
    answer = hub.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert int(answer.split(b" ", 2)[1]) in (400, 401, 404)
    assert b"root:" not in answer


def test_every_download_is_in_the_evidence(hub: Hub, repo: str) -> None:
    with hub.http("eve") as http:
        http.get(f"/{repo}/resolve/main/config.json")
        http.get(f"/{repo}/resolve/main/config.json", headers={"Range": "bytes=0-1"})
        http.head(f"/{repo}/resolve/main/config.json")
    database = sqlite3.connect(hub.data_dir / "gatekeeper.sqlite3")
    query = (
        "SELECT e.body FROM ledger_event e JOIN person p ON p.id = e.actor_id JOIN repo r ON r.id = e.repo_id "
        "WHERE e.kind = 'repos:file:download' AND p.name = 'eve' AND lower(r.namespace || '/' || r.name) = ?"
    )
    for _ in range(30):
        rows = database.execute(query, [repo.lower()]).fetchall()
        if len(rows) >= 2:
            break
        time.sleep(0.1)
    assert len(rows) == 2, "one for each GET, none for the HEAD"
    database.close()


def test_the_command_line_client_works(hub: Hub, repo: str, client_env: dict[str, str], tmp_path: Path) -> None:
    command = shutil.which("hf", path=str(Path(sys.executable).parent))
    assert command
    env = client_env | {"HF_TOKEN": hub.tokens["bob"]}
    who = subprocess.run([command, "auth", "whoami"], env=env, capture_output=True, text=True, check=True)
    assert "bob" in who.stdout
    target = str(tmp_path / "got")
    subprocess.run([command, "download", repo, "--local-dir", target], env=env, capture_output=True, check=True)
    assert (Path(target) / "big.bin").read_bytes() == BIG


def test_a_repository_of_the_same_client_without_xet_reads_the_same(
    hub: Hub, repo: str, run_client: Callable[..., Any]
) -> None:
    code = """
        from huggingface_hub import hf_hub_download
        answer = len(open(hf_hub_download(values["repo"], "big.bin"), "rb").read())
    """
    for without in ("0", "1"):
        assert run_client(code, person="bob", env={"HF_HUB_DISABLE_XET": without}, repo=repo) == len(BIG)
