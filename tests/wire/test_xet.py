"""Xet with the real client: bytes go up and down by chunks, and what may not be downloaded is not had this way."""

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.wire.server import Hub

MB = 2**20

UP = """
    from huggingface_hub import HfApi
    api = HfApi()
    api.create_repo(values["name"], exist_ok=True)
    answer = api.upload_file(path_or_fileobj=values["file"], path_in_repo="w.bin", repo_id=values["name"]).oid
"""
DOWN = """
    import hashlib, pathlib
    from huggingface_hub import hf_hub_download
    path = hf_hub_download(values["name"], "w.bin", revision=values.get("revision"))
    answer = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
"""
SNAPSHOT = """
    import hashlib, pathlib
    from huggingface_hub import snapshot_download
    place = pathlib.Path(snapshot_download(values["name"]))
    answer = hashlib.sha256((place / "w.bin").read_bytes()).hexdigest()
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def rows(hub: Hub, query: str, *values: str) -> list[Any]:
    with closing(sqlite3.connect(hub.data_dir / "gatekeeper.sqlite3")) as database:
        return database.execute(query, values).fetchall()


def downloads(hub: Hub, commit: str) -> list[dict[str, Any]]:
    """Evidence of downloads from a commit, once the queue is written."""
    time.sleep(1.0)
    found = rows(hub, "SELECT body FROM ledger_event WHERE kind = 'repos:file:download' AND subject_id = ?", commit)
    return [json.loads(body) for (body,) in found]


def xorb_bytes(hub: Hub, name: str) -> int:
    """Stored bytes of the xorbs that were sent to a repository."""
    query = (
        "SELECT coalesce(sum(x.size_bytes), 0) FROM stored_xorb x JOIN repo_xorb s ON s.xorb_hash = x.xorb_hash"
        " JOIN repo r ON r.id = s.repo_id WHERE r.key = ?"
    )
    return int(rows(hub, query, f"models/{name}")[0][0])


def read_token(hub: Hub, person: str | None, name: str, commit: str) -> dict[str, Any]:
    with hub.http(person) as http:
        answer = http.get(f"/api/models/{name}/xet-read-token/{commit}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-xet-access-token"] == answer.json()["accessToken"]
        assert answer.headers["x-xet-cas-url"] == answer.json()["casUrl"]
        return dict(answer.json())


def ask(token: dict[str, Any], place: str, byte_range: str | None = None) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {token['accessToken']}"} | ({"Range": byte_range} if byte_range else {})
    return httpx2.get(f"{token['casUrl']}{place}", headers=headers, trust_env=False, timeout=30)


def xet_hash(hub: Hub, person: str | None, name: str) -> str:
    with hub.http(person) as http:
        [entry] = [row for row in http.get(f"/api/models/{name}/tree/main").json() if row["path"] == "w.bin"]
        return str(entry["xetHash"])


@pytest.fixture
def sent(hub: Hub, name: str, tmp_path: Path, run_client: Callable[..., Any]) -> tuple[str, bytes]:
    """The commit and the content of ada's `w.bin`, sent by Xet."""
    content = random.Random(name).randbytes(3 * MB)
    (tmp_path / "w.bin").write_bytes(content)
    return run_client(UP, person="ada", name=name, file=str(tmp_path / "w.bin")), content


@pytest.mark.parametrize("how", [DOWN, SNAPSHOT], ids=["one file", "snapshot"])
def test_a_file_goes_up_and_down_by_xet(
    hub: Hub, name: str, sent: tuple[str, bytes], tmp_path: Path, run_client: Callable[..., Any], how: str
) -> None:
    commit, content = sent
    fresh = {"HF_HOME": str(tmp_path / "another-home")}
    assert run_client(how, person="eve", env=fresh, name=name) == sha256(content)
    evidence = [row for row in downloads(hub, commit) if row["path"] == "w.bin"]
    assert evidence
    assert {row.get("by") for row in evidence} == {"xet"}  # nothing was read from /resolve/
    assert {row["digest"] for row in evidence} == {sha256(content)}


def test_the_same_file_goes_down_by_plain_http(
    hub: Hub, name: str, sent: tuple[str, bytes], tmp_path: Path, run_client: Callable[..., Any]
) -> None:
    commit, content = sent
    plain = {"HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "another-home")}
    assert run_client(DOWN, person="eve", env=plain, name=name) == sha256(content)
    assert {row.get("by") for row in downloads(hub, commit) if row["path"] == "w.bin"} == {None}
    with hub.http() as http:
        head = http.head(f"/{name}/resolve/main/w.bin")
        assert head.headers["x-xet-hash"] == xet_hash(hub, None, name)
        assert head.headers["link"] == f'<{hub.url}/api/models/{name}/xet-read-token/{commit}>; rel="xet-auth"'
        assert "x-xet-hash" not in http.head(f"/{name}/resolve/main/.gitattributes").headers


def test_ranges_are_read_by_the_file_system_and_by_xet(
    hub: Hub, name: str, sent: tuple[str, bytes], run_client: Callable[..., Any]
) -> None:
    commit, content = sent
    code = """
        import hf_xet
        from huggingface_hub import HfFileSystem
        with HfFileSystem().open(values["name"] + "/w.bin", "rb", block_size=2**16) as file:
            file.seek(1_000_001)
            read = file.read(70_000)
        token = values["token"]
        group = hf_xet.XetSession().new_download_stream_group(
            endpoint=token["casUrl"], token=token["accessToken"], token_expiry_unix_secs=token["exp"]
        )
        info = hf_xet.XetFileInfo(values["hash"], values["size"])
        parts = [b"".join(group.download_stream(info, start, end)) for start, end in values["spans"]]
        answer = [read.hex(), *(part.hex() for part in parts)]
    """
    spans = [(0, 1), (5, 200_000), (1_000_001, 1_000_011), (len(content) - 3, len(content))]
    read, *parts = run_client(
        code,
        person="eve",
        name=name,
        token=read_token(hub, "eve", name, commit),
        hash=xet_hash(hub, "eve", name),
        size=len(content),
        spans=spans,
    )
    assert read == content[1_000_001:1_070_001].hex()
    assert parts == [content[start:end].hex() for start, end in spans]


@pytest.mark.parametrize("home", ["the same client", "a fresh client"])
def test_a_variant_with_5_percent_changed_sends_little(
    hub: Hub, name: str, tmp_path: Path, run_client: Callable[..., Any], home: str
) -> None:
    first = random.Random(name).randbytes(30 * MB)
    second = first[: 10 * MB] + random.Random(name + "x").randbytes(3 * MB // 2) + first[23 * MB // 2 :]
    for file, content in (("first", first), ("second", second)):
        (tmp_path / file).write_bytes(content)
    run_client(UP, person="ada", name=name, file=str(tmp_path / "first"))
    before = xorb_bytes(hub, name)
    env = {"HF_HOME": str(tmp_path / home)} if home == "a fresh client" else {}
    head = run_client(UP, person="ada", env=env, name=name, file=str(tmp_path / "second"))
    share = (xorb_bytes(hub, name) - before) / len(second)
    print(f"{home}: {share:.3f} of the file stored anew")
    assert 0.04 < share < 0.08
    with hub.http() as http:
        assert sha256(http.get(f"/{name}/resolve/{head}/w.bin").content) == sha256(second)
    for way in ("0", "1"):  # a request for each range, and one for several
        fresh = {"HF_HOME": str(tmp_path / f"reader-{way}"), "HF_XET_CLIENT_ENABLE_MULTIRANGE_FETCHING": way}
        assert run_client(DOWN, person="eve", env=fresh, name=name, revision=head) == sha256(second)


@pytest.mark.parametrize("change", [{"private": True}, {"gated": "manual"}], ids=["private", "gated"])
def test_a_token_and_addresses_in_hand_give_nothing_once_the_right_is_gone(
    hub: Hub, name: str, sent: tuple[str, bytes], change: dict[str, Any]
) -> None:
    commit, _ = sent
    token, place = read_token(hub, "eve", name, commit), f"/v2/reconstructions/{xet_hash(hub, 'eve', name)}"
    nobody = read_token(hub, None, name, commit)
    [(_, [fetch, *_])] = ask(token, place).json()["xorbs"].items()
    span = f"bytes={fetch['ranges'][0]['bytes']['start']}-{fetch['ranges'][0]['bytes']['end']}"
    assert httpx2.get(fetch["url"], headers={"Range": span}, trust_env=False).status_code == 206

    hub.api("ada").update_repo_settings(name, **change)
    for holder in (token, nobody):
        for asked in (place, place.replace("v2", "v1")):
            refused = ask(holder, asked)
            assert refused.status_code in (401, 403, 404), refused.text
            assert "xorbs" not in refused.text
    refused = httpx2.get(fetch["url"], headers={"Range": span}, trust_env=False)
    assert refused.status_code == 403  # which makes clients ask for the reconstruction again
    with hub.http("eve") as http:
        assert http.get(f"/api/models/{name}/xet-read-token/{commit}").status_code in (403, 404)


def test_a_file_of_another_repository_or_revision_is_not_answered(
    hub: Hub, name: str, sent: tuple[str, bytes], tmp_path: Path, run_client: Callable[..., Any]
) -> None:
    commit, _ = sent
    other = f"{name}-other"
    (tmp_path / "other").write_bytes(os.urandom(MB))
    run_client(UP, person="ada", name=other, file=str(tmp_path / "other"))
    hub.api("ada").update_repo_settings(other, private=True)
    here, there = xet_hash(hub, "ada", name), xet_hash(hub, "ada", other)
    mine = read_token(hub, "eve", name, commit)
    assert ask(mine, f"/v2/reconstructions/{here}").status_code == 200
    assert ask(mine, f"/v2/reconstructions/{there}").status_code == 404
    assert ask(mine, f"/v2/reconstructions/{'0' * 64}").status_code == 404
    elsewhere = mine | {"casUrl": read_token(hub, "ada", other, "main")["casUrl"]}
    assert ask(elsewhere, f"/v2/reconstructions/{there}").status_code == 403
    first = hub.api("ada").list_repo_commits(name)[-1].commit_id  # before the file was there
    assert ask(read_token(hub, "ada", name, first), f"/v2/reconstructions/{here}").status_code == 404
    altered = mine | {"accessToken": mine["accessToken"][:-2] + "AA"}
    assert ask(altered, f"/v2/reconstructions/{here}").status_code == 401
    # An access token of the hub is none of Xet's.
    assert ask(mine | {"accessToken": hub.tokens["ada"]}, f"/v2/reconstructions/{here}").status_code == 401


def test_ranges_of_a_reconstruction_and_its_addresses_are_exact(hub: Hub, name: str, sent: tuple[str, bytes]) -> None:
    commit, content = sent
    token, place = read_token(hub, "eve", name, commit), f"/v2/reconstructions/{xet_hash(hub, 'eve', name)}"
    assert ask(token, place, f"bytes={len(content)}-").status_code == 416
    assert ask(token, place, "bytes=5-4").status_code == 400
    small = ask(token, place, "bytes=1000000-1000009").json()
    whole = ask(token, place, f"bytes=0-{len(content) + 5}").json()
    assert whole == ask(token, place).json() | {"xorbs": whole["xorbs"]}
    assert sum(term["unpacked_length"] for term in whole["terms"]) == len(content)
    assert sum(term["unpacked_length"] for term in small["terms"]) <= 2 * 131072

    [[fetch]] = small["xorbs"].values()
    start, end = fetch["ranges"][0]["bytes"].values()

    def get(url: str, value: str | None) -> httpx2.Response:
        return httpx2.get(url, headers={"Range": value} if value else {}, trust_env=False)

    good = get(fetch["url"], f"bytes={start}-{end}")
    assert (good.status_code, len(good.content)) == (206, end - start + 1)
    assert good.headers["content-range"].startswith(f"bytes {start}-{end}/")
    several = get(fetch["url"], f"bytes={start}-{start + 1},{start + 5}-{start + 5}")
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert several.content.count(b"Content-Range: bytes ") == 2
    assert int(several.headers["content-length"]) == len(several.content)

    assert get(fetch["url"], f"bytes={start}-{end + 1}").status_code == 403
    assert get(fetch["url"], "bytes=0-0").status_code == (206 if start == 0 else 403)
    assert get(fetch["url"], f"bytes={start}-{end},{start}-{end}").status_code == 403
    assert get(fetch["url"], None).status_code == 400
    stem, _, seal = fetch["url"].rpartition(".")
    assert get(f"{stem}.{seal[:-2]}AA", f"bytes={start}-{end}").status_code == 403
    flipped = "B" if stem[-1] == "A" else "A"
    assert get(f"{stem[:-1]}{flipped}.{seal}", f"bytes={start}-{end}").status_code == 403
    with hub.http("ada") as http:
        lfs_like = http.get(f"/cas/x/{token['accessToken']}", headers={"Range": "bytes=0-1"})
        assert lfs_like.status_code == 403


def test_only_writers_ask_who_has_a_chunk(hub: Hub, name: str, sent: tuple[str, bytes]) -> None:
    commit, _ = sent
    [(chunk,)] = rows(
        hub,
        "SELECT c.chunk_hash FROM xet_chunk c JOIN repo r ON r.id = c.repo_id WHERE r.key = ? LIMIT 1",
        f"models/{name}",
    )
    with hub.http("ada") as http:
        writer = http.get(f"/api/models/{name}/xet-write-token/main").json()
    found = ask(writer, f"/v1/chunks/default/{chunk}")
    assert found.status_code == 200
    assert found.content.startswith(b"HFRepoMetaData\0")
    assert ask(writer, f"/v1/chunks/default/{'1' * 64}").status_code == 404
    assert ask(read_token(hub, "eve", name, commit), f"/v1/chunks/default/{chunk}").status_code == 403
    assert ask(writer, f"/v2/reconstructions/{xet_hash(hub, 'ada', name)}").status_code == 403


def test_cleaning_up_while_the_hub_runs_leaves_what_is_committed(
    hub: Hub, name: str, sent: tuple[str, bytes], tmp_path: Path, run_client: Callable[..., Any]
) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "GATEKEEPER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", "repos", "gc", "--json"],
        env=env | {"GATEKEEPER_DATA_DIR": str(hub.data_dir)},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout)["objects"] == 0
    fresh = {"HF_HOME": str(tmp_path / "another-home")}
    assert run_client(DOWN, person="eve", env=fresh, name=name) == sha256(sent[1])
