"""A hub whose files lie in a bucket, with the real clients: the server sends them to a real S3 server and back."""

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import obstore
import pytest

from tests.seaweed import Seaweed
from tests.wire.server import Hub
from tests.wire.serving import serving

PREFIX = "wire/hub"
CONTENT = random.Random("bucket").randbytes(9 * 2**20)  # more than one request to a bucket
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = f"sha256/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"

UP = """
    from huggingface_hub import HfApi
    api = HfApi()
    api.create_repo(values["name"], exist_ok=True)
    answer = api.upload_file(path_or_fileobj=values["file"], path_in_repo="w.bin", repo_id=values["name"]).oid
"""
DOWN = """
    import hashlib, pathlib
    from huggingface_hub import hf_hub_download
    path = hf_hub_download(values["name"], "w.bin")
    answer = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
"""
NO_XET = {"HF_HUB_DISABLE_XET": "1"}


@pytest.fixture(scope="module")
def hub(seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    parts = {"lfs_multipart_bytes": 8 * 2**20, "lfs_part_bytes": 4 * 2**20}
    with serving(tmp_path_factory.mktemp("cloud"), **seaweed.settings(PREFIX), **parts) as server:
        yield server


@pytest.fixture(scope="module")
def repo(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A private repository of ada's with one large file, sent as any plain HTTP client would."""
    name = f"ada/kept{time.monotonic_ns()}"
    hub.api("ada").create_repo(name, private=True)
    with hub.http("ada") as http:
        asked = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": SHA256, "size": len(CONTENT)}]}
        [row] = http.post(f"/{name}.git/info/lfs/objects/batch", json=asked).json()["objects"]
        assert httpx2.put(row["actions"]["upload"]["href"], content=CONTENT, trust_env=False).status_code == 200
        lines = [
            {"key": "header", "value": {"summary": "add"}},
            {"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": SHA256, "size": len(CONTENT)}},
        ]
        body = "\n".join(map(json.dumps, lines))
        answer = http.post(
            f"/api/models/{name}/commit/main", content=body, headers={"Content-Type": "application/x-ndjson"}
        )
        assert answer.status_code == 200, answer.text
    return name


def address(hub: Hub, repo: str, **headers: str) -> str:
    with hub.http("ada") as http:
        answer = http.get(f"/{repo}/resolve/main/w.bin", headers=headers)
    assert answer.status_code == 302, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.headers["location"])


def keys(seaweed: Seaweed, folder: str) -> set[str]:
    return {meta["path"] for some in obstore.list(seaweed.client(PREFIX), folder) for meta in some}


@pytest.mark.parametrize("env", [NO_XET, {}], ids=["lfs", "xet"])
def test_a_file_goes_up_and_comes_down(
    hub: Hub, seaweed: Seaweed, name: str, tmp_path: Path, run_client: Callable[..., Any], env: dict[str, str]
) -> None:
    content = random.Random(str(env)).randbytes(9 * 2**20)
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "w.bin").write_bytes(content)
    before = keys(seaweed, "xorbs")
    run_client(UP, person="ada", name=name, file=str(tmp_path / "w.bin"), env=env)
    assert f"sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}" in keys(seaweed, "sha256")
    assert (keys(seaweed, "xorbs") > before) is (env is not NO_XET)
    assert run_client(DOWN, person="bob", name=name, env=env) == sha256
    assert keys(seaweed, "staging") | keys(seaweed, "parts") == set()
    assert [path for path in (hub.data_dir / "files").rglob("*") if path.is_file()] == []  # nothing lies here


def test_a_program_is_sent_to_the_bucket_and_gets_the_part_it_asked_for(hub: Hub, repo: str) -> None:
    with httpx2.Client(trust_env=False) as anybody:
        answer = anybody.get(address(hub, repo))
        assert hashlib.sha256(answer.content).hexdigest() == SHA256
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == "attachment"
    with hub.http("ada", follow_redirects=True) as http:
        for wanted, start, end in [("bytes=5-9", 5, 10), ("bytes=-7", len(CONTENT) - 7, len(CONTENT))]:
            answer = http.get(f"/{repo}/resolve/main/w.bin", headers={"Range": wanted})
            assert (answer.status_code, answer.content) == (206, CONTENT[start:end])
        assert http.get(f"/{repo}/resolve/main/w.bin", headers={"Range": f"bytes={len(CONTENT)}-"}).status_code == 416


def test_looking_at_a_file_asks_nothing_of_the_bucket(hub: Hub, repo: str) -> None:
    with hub.http("ada") as http:
        seen = http.head(f"/{repo}/resolve/main/w.bin")
        again = http.get(f"/{repo}/resolve/main/w.bin", headers={"If-None-Match": f'"{SHA256}"'})
    assert (seen.status_code, seen.headers["etag"], int(seen.headers["content-length"])) == (
        200,
        f'"{SHA256}"',
        len(CONTENT),
    )
    assert (again.status_code, "location" in again.headers, "location" in seen.headers) == (304, False, False)


def test_an_address_is_for_a_minute_and_for_one_file(hub: Hub, repo: str, seaweed: Seaweed) -> None:
    given = httpx2.URL(address(hub, repo))
    assert given.params["X-Amz-Expires"] == "60"
    with httpx2.Client(trust_env=False) as anybody:
        assert anybody.get(given, headers={"Range": "bytes=0-0"}).status_code == 206
        assert anybody.get(given.copy_merge_params({"X-Amz-Expires": "6000"})).status_code == 403
        other = given.copy_with(path=given.path.replace(SHA256, "0" * 64))
        assert anybody.get(other).status_code == 403
        assert anybody.get(given.copy_with(query=None)).status_code == 403
        assert anybody.put(given, content=b"mine").status_code == 403
        short = obstore.sign(seaweed.client(PREFIX), "GET", KEY, timedelta(seconds=1))
        time.sleep(2.1)
        assert anybody.get(short).status_code == 403


@pytest.mark.parametrize("person", [None, "bob"])
def test_nobody_else_is_sent_anywhere(hub: Hub, repo: str, person: str | None) -> None:
    with hub.http(person) as http:
        answer = http.get(f"/{repo}/resolve/main/w.bin")
    assert answer.status_code == (404 if person else 401)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Mode": "navigate"}, {"If-Match": f'"{SHA256}"'}, {"If-Range": f'"{SHA256}"'}],
    ids=["a browser", "if-match", "if-range"],
)
def test_others_get_the_bytes_from_the_hub_itself(hub: Hub, repo: str, headers: dict[str, str]) -> None:
    with hub.http("ada") as http:
        whole = http.get(f"/{repo}/resolve/main/w.bin", headers=headers)
        part = http.get(f"/{repo}/resolve/main/w.bin", headers={**headers, "Range": "bytes=3000000-6999999"})
    assert (whole.status_code, whole.content == CONTENT, whole.headers["etag"]) == (200, True, f'"{SHA256}"')
    assert (part.status_code, part.content == CONTENT[3_000_000:7_000_000]) == (206, True)
    assert part.headers["content-range"] == f"bytes 3000000-6999999/{len(CONTENT)}"


def test_a_download_is_written_down_before_its_address_is_given(hub: Hub, repo: str) -> None:
    address(hub, repo, Range="bytes=10-19")
    time.sleep(1.0)
    with closing(sqlite3.connect(hub.data_dir / "gatekeeper.sqlite3")) as database:
        query = "SELECT body FROM ledger_event WHERE kind = 'repos:file:download' ORDER BY id DESC LIMIT 1"
        [(body,)] = database.execute(query).fetchall()
    found = json.loads(body)
    assert (found["digest"], found["first_byte"], found["last_byte"]) == (SHA256, 10, 19)


def test_git_lfs_goes_both_ways(hub: Hub, name: str, tmp_path: Path) -> None:
    hub.api("ada").create_repo(name)
    remote = f"{hub.url.replace('://', '://anybody:' + hub.tokens['ada'] + '@')}/{name}.git"
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "127.0.0.1",
        **{f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def git(*words: str, at: Path = tmp_path) -> None:
        done = subprocess.run(["git", *words], cwd=at, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    git("lfs", "install", "--skip-repo")
    git("clone", remote, "one")
    content = random.Random(name).randbytes(2 * 2**20)
    (tmp_path / "one" / "big.bin").write_bytes(content)
    git("add", ".", at=tmp_path / "one")
    git("commit", "-m", "big", at=tmp_path / "one")
    git("push", at=tmp_path / "one")
    git("clone", remote, "two")
    assert (tmp_path / "two" / "big.bin").read_bytes() == content


def test_the_operator_checks_and_cleans_a_bucket(hub: Hub, repo: str, seaweed: Seaweed) -> None:
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GATEKEEPER_")},
        **{f"GATEKEEPER_{key.upper()}": value for key, value in seaweed.settings(PREFIX).items()},
        "GATEKEEPER_DATA_DIR": str(hub.data_dir),
    }

    def told(*words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "gatekeeper", "repos", *words, "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    report = told("verify", repo)
    assert report["checked_bytes"] > len(CONTENT)
    assert (report["missing"], report["damaged"]) == ([], [])
    assert told("gc")["objects"] == 0
    assert KEY in keys(seaweed, "sha256")


def test_a_hub_in_a_bucket_says_that_it_is_ready(hub: Hub) -> None:
    with hub.http() as http:
        assert http.get("/readyz").json()["storage"] == "ok"
