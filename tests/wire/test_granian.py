"""The hub under granian: the same answers."""

import os
import time
from collections.abc import Iterator

import pytest
from huggingface_hub import CommitOperationAdd

from tests.wire.server import Hub
from tests.wire.serving import serving

CONTENT = os.urandom(3 * 2**20) + b"\0"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving(tmp_path_factory.mktemp("granian"), server="granian", inference_url="off") as server:
        yield server


@pytest.fixture(scope="module")
def path(hub: Hub) -> str:
    """Where a private file of ada's is downloaded from."""
    name = f"ada/m{time.monotonic_ns()}"
    ada = hub.api("ada")
    ada.create_repo(name, private=True)
    ada.create_commit(name, [CommitOperationAdd("w.bin", CONTENT)], commit_message="files")
    return f"/{name}/resolve/main/w.bin"


def test_files_leave_whole_and_in_part_with_the_same_headers(hub: Hub, path: str) -> None:
    with hub.http("ada") as http:
        for _ in range(2):  # the second answer is one from the hot path
            told, whole = http.head(path), http.get(path)
            assert (whole.status_code, whole.content) == (200, CONTENT)
            assert whole.headers["server"] == "granian"
            for name in ("etag", "content-length", "x-repo-commit", "accept-ranges", "content-security-policy"):
                assert whole.headers[name] == told.headers[name]
        part = http.get(path, headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, CONTENT[5:10])
        etag = whole.headers["etag"]
        assert http.get(path, headers={"If-None-Match": etag}).status_code == 304
        encoded = path.replace("/main/", "/refs%2Fheads%2Fmain/")
        assert http.get(encoded).content == CONTENT
    with hub.http("bob") as http:
        assert http.get(path).status_code == 404


def test_heads_without_an_end_are_cut_off(hub: Hub) -> None:
    answer = hub.raw(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 300_000)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


def test_an_address_is_read_as_it_was_sent(hub: Hub) -> None:
    answer = hub.raw(b"GET /api/%2e%2e/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"/api/../x" in answer
