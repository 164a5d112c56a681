"""Large files in parts: the public client sends them so where the hub offers it, and what breaks off is taken up."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.wire.server import Hub
from tests.wire.serving import serving

MIB = 2**20
CONTENT = random.Random("parts").randbytes(3 * MIB + 1)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PIECES = [CONTENT[at : at + MIB] for at in range(0, len(CONTENT), MIB)]

UP = """
    from huggingface_hub import HfApi
    api = HfApi()
    api.create_repo(values["name"], exist_ok=True)
    answer = api.upload_file(path_or_fileobj=values["file"], path_in_repo="w.bin", repo_id=values["name"]).oid
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving(tmp_path_factory.mktemp("parts"), lfs_multipart_bytes=2 * MIB, lfs_part_bytes=MIB) as server:
        yield server


@pytest.fixture
def repo(hub: Hub) -> Iterator[str]:
    name = f"ada/p{time.monotonic_ns()}"
    hub.api("ada").create_repo(name)
    yield name
    hub.api("ada").delete_repo(name, missing_ok=True)


def ask(hub: Hub, repo: str, transfers: tuple[str, ...] = ("basic", "multipart"), size: int = len(CONTENT)) -> Any:
    with hub.http("ada") as http:
        objects = [{"oid": SHA256, "size": size}]
        asked = {"operation": "upload", "transfers": list(transfers), "objects": objects}
        answer = http.post(f"/{repo}.git/info/lfs/objects/batch", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def put(address: str, content: bytes) -> httpx2.Response:
    return httpx2.put(address, content=content, trust_env=False, timeout=60)


def complete(upload: Any, etags: list[str]) -> httpx2.Response:
    parts = [{"partNumber": at, "etag": etag} for at, etag in enumerate(etags, 1)]
    return httpx2.post(upload["href"], json={"oid": SHA256, "parts": parts}, trust_env=False, timeout=60)


def kept_parts(hub: Hub) -> list[Path]:
    return [path for path in (hub.data_dir / "files" / "parts").rglob("*") if path.is_file()]


def test_the_public_client_sends_a_large_file_in_parts(
    hub: Hub, tmp_path: Path, run_client: Callable[..., Any]
) -> None:
    content = random.Random("client").randbytes(3 * MIB + 7)
    (tmp_path / "w.bin").write_bytes(content)
    name = f"ada/c{time.monotonic_ns()}"
    before = (hub.data_dir / "server.log").read_text().count("/uploads/parts/")
    run_client(UP, person="ada", name=name, file=str(tmp_path / "w.bin"), env={"HF_HUB_DISABLE_XET": "1"})
    with hub.http() as http:
        assert http.get(f"/{name}/resolve/main/w.bin").content == content
    assert (hub.data_dir / "server.log").read_text().count("/uploads/parts/") == before + 4
    assert kept_parts(hub) == []


def test_clients_that_know_no_parts_get_one_address(hub: Hub, repo: str) -> None:
    answer = ask(hub, repo, transfers=("basic",))
    [row] = answer["objects"]
    assert answer["transfer"] == "basic"
    assert set(row["actions"]["upload"]) == {"href"}
    assert put(row["actions"]["upload"]["href"], CONTENT).status_code == 200
    assert "actions" not in ask(hub, repo)["objects"][0]


def test_a_small_file_goes_as_a_whole_whatever_the_client_knows(hub: Hub, repo: str) -> None:
    answer = ask(hub, repo, size=2 * MIB)
    assert (answer["transfer"], set(answer["objects"][0]["actions"]["upload"])) == ("basic", {"href"})


def test_an_upload_that_broke_off_is_taken_up(hub: Hub, repo: str) -> None:
    answer = ask(hub, repo)
    upload = answer["objects"][0]["actions"]["upload"]
    assert answer["transfer"] == "multipart"
    assert (upload["header"]["chunk_size"], set(upload["header"])) == (str(MIB), {"chunk_size", "1", "2", "3", "4"})
    first = put(upload["header"]["1"], PIECES[0])
    assert first.headers["etag"] == f'"{hashlib.sha256(PIECES[0]).hexdigest()}"'
    assert complete(upload, [first.headers["etag"]]).status_code == 422

    again = ask(hub, repo)["objects"][0]["actions"]["upload"]
    before = [path.stat().st_mtime_ns for path in kept_parts(hub)]
    etags = [put(again["header"][str(at)], piece).headers["etag"] for at, piece in enumerate(PIECES, 1)]
    assert before[0] in [path.stat().st_mtime_ns for path in kept_parts(hub)]  # not stored a second time
    assert [complete(again, etags).status_code for _ in range(2)] == [200, 200]  # a client repeats what it is unsure of
    assert "actions" not in ask(hub, repo)["objects"][0]
    assert put(again["header"]["1"], PIECES[0]).status_code == 404


def test_wrong_content_is_refused_as_a_whole_and_may_be_sent_again(hub: Hub, repo: str) -> None:
    for wrong, status in [(b"X", 422), (b"", 200)]:
        upload = ask(hub, repo)["objects"][0]["actions"]["upload"]
        pieces = [wrong + PIECES[0][len(wrong) :], *PIECES[1:]]
        etags = [put(upload["header"][str(at)], piece).headers["etag"] for at, piece in enumerate(pieces, 1)]
        assert complete(upload, etags).status_code == status
    assert kept_parts(hub) == []


def test_an_address_outlives_neither_change_nor_its_repository(hub: Hub, repo: str) -> None:
    upload = ask(hub, repo)["objects"][0]["actions"]["upload"]
    part = upload["header"]["1"]
    signed = part.rpartition("/")[2]
    assert put(part[:-3] + "AAA", PIECES[0]).status_code == 401
    assert put(f"{hub.url}/uploads/lfs/{signed}", PIECES[0]).status_code == 401  # for another purpose
    assert put(part, PIECES[0] + b"more").status_code == 413
    assert put(part, PIECES[0][:-1]).status_code == 422
    hub.api("ada").delete_repo(repo)
    assert put(part, PIECES[0]).status_code in (401, 404)
    assert complete(upload, []).status_code in (401, 404)
