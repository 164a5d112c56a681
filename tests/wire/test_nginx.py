"""Downloads behind nginx: the hub decides and writes down, nginx sends the bytes."""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd

from tests.nginx import NGINX, free_port, nginx
from tests.wire.server import Hub
from tests.wire.serving import serving

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (tests/need-packages installs it)")

CONTENT = os.urandom(3 * 2**20) + b"\0"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
INSIDE = f"/_files/sha256/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"
KEPT = (
    "etag",
    "content-type",
    "content-disposition",
    "cache-control",
    "vary",
    "x-repo-commit",
    "x-linked-etag",
    "x-linked-size",
    "x-xet-hash",
    "link",
    "accept-ranges",
    "content-security-policy",
    "cross-origin-resource-policy",
    "x-content-type-options",
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The hub itself, with nginx running before it."""
    data, port = tmp_path_factory.mktemp("behind"), free_port()
    with (
        serving(data, accel="nginx", public_url=f"http://127.0.0.1:{port}", inference_url="off") as server,
        nginx(data / "nginx", port=port, hub_port=server.port, files=data / "files"),
    ):
        yield replace(server, public_port=port)


@pytest.fixture(scope="module")
def hub(straight: Hub) -> Hub:
    """The hub as everybody reaches it."""
    assert straight.public_port is not None
    return replace(straight, url=f"http://127.0.0.1:{straight.public_port}", port=straight.public_port)


@pytest.fixture(scope="module")
def repo(hub: Hub) -> str:
    name = f"ada/m{time.monotonic_ns()}"
    ada = hub.api("ada")
    ada.create_repo(name, private=True)
    files = {"w.bin": CONTENT, "config.json": b"{}", "counted.bin": CONTENT[::-1]}
    ada.create_commit(name, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="files")
    return name


def downloads(hub: Hub, path: str) -> list[dict[str, Any]]:
    """What the evidence says of downloads of the file at `path`."""
    with closing(sqlite3.connect(hub.data_dir / "gatekeeper.sqlite3")) as database:
        found = database.execute("SELECT body FROM ledger_event WHERE kind = 'repos:file:download' ORDER BY id")
        return [body for row in found if (body := json.loads(row[0]))["path"] == path]


def test_a_file_arrives_whole_and_with_the_hubs_own_headers(hub: Hub, straight: Hub, repo: str) -> None:
    path = f"/{repo}/resolve/main/w.bin"
    with hub.http("ada") as front, straight.http("ada") as back:
        # The second answer of each is one from the hot path.
        for _ in range(2):
            told, answer, bare = front.head(path), front.get(path, headers={"X-Request-Id": "mine"}), back.get(path)
            assert (answer.status_code, answer.content) == (200, CONTENT)
            assert (bare.status_code, bare.content, bare.headers["x-accel-redirect"]) == (200, b"", INSIDE)
            assert "x-accel-redirect" not in answer.headers
            assert answer.headers["etag"] == f'"{SHA256}"'
            assert "last-modified" not in answer.headers
            for name in KEPT:
                assert answer.headers.get_list(name) == told.headers.get_list(name), name
            assert answer.headers["x-request-id"] == "mine"
    assert bare.headers["x-repo-commit"] == hub.api("ada").model_info(repo).sha


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({"Range": "bytes=5-9"}, 206, CONTENT[5:10]),
        ({"Range": "bytes=-7"}, 206, CONTENT[-7:]),
        ({"Range": f"bytes={len(CONTENT) - 3}-"}, 206, CONTENT[-3:]),
        ({"Range": "bytes=0-1,5-6"}, 200, CONTENT),
        ({"Range": "lines=1-2"}, 200, CONTENT),
        ({"Range": f"bytes={len(CONTENT)}-"}, 416, b""),
        ({"Range": "bytes=5-9", "If-Range": f'"{SHA256}"'}, 206, CONTENT[5:10]),
        ({"Range": "bytes=5-9", "If-Range": '"other"'}, 200, CONTENT),
        ({"Range": "bytes=5-9", "If-Range": "Sun, 06 Nov 2094 08:49:37 GMT"}, 200, CONTENT),
        ({"If-None-Match": f'"{SHA256}"'}, 304, b""),
        ({"If-None-Match": '"other"'}, 200, CONTENT),
        ({"If-Match": f'"{SHA256}"'}, 200, CONTENT),
        ({"If-Match": '"other"'}, 412, b""),
        ({"If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT"}, 200, CONTENT),
        ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200, CONTENT),
    ],
    ids=lambda value: " ".join(value.values()).replace(SHA256, "etag") if isinstance(value, dict) else "",
)
def test_parts_and_conditions_are_answered_as_without_nginx(
    hub: Hub, repo: str, headers: dict[str, str], status: int, body: bytes
) -> None:
    with hub.http("ada") as http:
        answer = http.get(f"/{repo}/resolve/main/w.bin", headers=headers)
    assert (answer.status_code, answer.content) == (status, body)
    if status in (200, 206, 304):
        assert answer.headers["etag"] == f'"{SHA256}"'
        assert answer.headers["x-repo-commit"]
    if status == 206:
        assert answer.headers["content-range"].endswith(f"/{len(CONTENT)}")
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_each_download_is_written_down_with_what_left(hub: Hub, repo: str) -> None:
    with hub.http("ada") as http:
        http.head(f"/{repo}/resolve/main/counted.bin")
        http.get(f"/{repo}/resolve/main/counted.bin")
        http.get(f"/{repo}/resolve/main/counted.bin", headers={"Range": "bytes=5-9"})
    ends = time.monotonic() + 30
    while len(kept := downloads(hub, "counted.bin")) < 2 and time.monotonic() < ends:
        time.sleep(0.05)
    assert len(kept) == 2
    assert [(body.get("first_byte"), body.get("last_byte")) for body in kept] == [(None, None), (5, 9)]


def test_nobody_reaches_the_files_without_the_hub(hub: Hub, repo: str) -> None:
    """Not by the address inside, however it is written, and not by headers that only the hub may send."""
    named = INSIDE.removeprefix("/_files/")
    paths = [
        INSIDE,
        f"/%5ffiles/{named}",
        f"//_files/{named}",
        f"/x/..{INSIDE}",
        f"/x/%2e%2e{INSIDE}",
        f"/static/..%2f_files/{named}",
        f"/{repo}/resolve/main/../../../../..{INSIDE}",
    ]
    planted = "".join(f"{name}: {INSIDE}\r\n" for name in ("X-Accel-Redirect", "X-Sendfile", "X-Original-URI"))
    for path in (*paths, f"/{repo}/resolve/main/w.bin", "/", f"/{repo}/resolve/main/{INSIDE}"):
        request = f"GET {path} HTTP/1.1\r\nHost: {hub.url[7:]}\r\nConnection: close\r\n{planted}\r\n"
        answer = hub.raw(request.encode())
        assert CONTENT[:64] not in answer
        assert b"x-accel" not in answer.lower()
        assert not answer.startswith(b"HTTP/1.1 200") or path == "/"


def test_who_may_not_have_the_file_gets_nothing_behind_nginx_either(hub: Hub, repo: str) -> None:
    path = f"/{repo}/resolve/main/w.bin"
    for person in ("bob", None):
        with hub.http(person) as http:
            answer = http.get(path, headers={"X-Accel-Redirect": INSIDE})
            missing = http.get(path.replace(repo, "ada/nothing-of-that-name"))
        assert answer.status_code == missing.status_code in (401, 404)
        assert answer.headers.get("x-error-code") == missing.headers.get("x-error-code")
    with hub.http("ada") as http:
        assert http.get(path).status_code == 200
        hub.api("ada").delete_repo(repo_name := _copy(hub))
        assert http.get(f"/{repo_name}/resolve/main/w.bin").status_code == 404


def _copy(hub: Hub) -> str:
    """A repository that was downloaded from before, so that its answer was kept."""
    name = f"ada/m{time.monotonic_ns()}"
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.create_commit(name, [CommitOperationAdd("w.bin", CONTENT)], commit_message="files")
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/w.bin").content == CONTENT
    return name


@pytest.mark.parametrize("is_xet", [True, False])
def test_the_public_client_and_git_lfs_work_through_it(
    hub: Hub, repo: str, run_client: Callable[..., Any], tmp_path: Path, is_xet: bool
) -> None:
    code = """
        import hashlib, pathlib
        from huggingface_hub import HfApi, hf_hub_download
        api = HfApi()
        api.upload_file(path_or_fileobj=pathlib.Path(values["file"]), path_in_repo=values["to"], repo_id=values["repo"])
        path = hf_hub_download(values["repo"], values["to"])
        answer = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    """
    content = os.urandom(2 * 2**20)
    (tmp_path / "file").write_bytes(content)
    env = {} if is_xet else {"HF_HUB_DISABLE_XET": "1"}
    values = {"file": str(tmp_path / "file"), "to": f"{is_xet}.bin", "repo": repo}
    assert run_client(code, person="ada", env=env, **values) == hashlib.sha256(content).hexdigest()
    with hub.http("ada") as http:
        asked = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": SHA256, "size": len(CONTENT)}]}
        [row] = http.post(f"/{repo}.git/info/lfs/objects/batch", json=asked).json()["objects"]
    with hub.http() as http:
        assert http.get(row["actions"]["download"]["href"]).content == CONTENT
