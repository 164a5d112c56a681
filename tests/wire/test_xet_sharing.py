"""Xet across repositories with the real client: what may be downloaded is not sent again, nothing else is shared."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.wire.server import Hub
from tests.wire.test_xet import DOWN, MB, UP, ask, read_token, rows, sha256, xet_hash, xorb_bytes

Run = Callable[..., Any]


def stored_bytes(hub: Hub) -> int:
    return int(rows(hub, "SELECT coalesce(sum(size_bytes), 0) FROM stored_xorb")[0][0])


def writer_token(hub: Hub, person: str, name: str) -> dict[str, Any]:
    with hub.http(person) as http:
        answer = http.get(f"/api/models/{name}/xet-write-token/main")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


def grant(token: dict[str, Any], xorb: str) -> int:
    body = {"length": 1, "checksum": {"algo": "crc64nvme", "value": "0"}}
    headers = {"Authorization": f"Bearer {token['accessToken']}"}
    url = f"{token['casUrl']}/v1/xorb-grants/default/{xorb}"
    return httpx2.post(url, headers=headers, json=body, trust_env=False, timeout=30).status_code


@pytest.fixture
def sent(hub: Hub, name: str, tmp_path: Path, run_client: Run) -> Path:
    """The file that ada sent to her repository."""
    path = tmp_path / "w.bin"
    path.write_bytes(random.Random(name).randbytes(6 * MB))
    run_client(UP, person="ada", name=name, file=str(path))
    return path


def test_a_file_that_may_be_downloaded_elsewhere_is_not_sent_again(
    hub: Hub, name: str, sent: Path, tmp_path: Path, run_client: Run
) -> None:
    before, copy = stored_bytes(hub), name.replace("ada/", "eve/")
    variant = tmp_path / "variant"
    content = sent.read_bytes()
    variant.write_bytes(content[: 3 * MB] + random.Random(name + "x").randbytes(MB // 4) + content[3 * MB :])
    run_client(UP, person="eve", env={"HF_HOME": str(tmp_path / "eve")}, name=copy, file=str(sent))
    assert stored_bytes(hub) == before
    assert xorb_bytes(hub, copy) == 0  # not a byte of it was sent
    run_client(UP, person="eve", env={"HF_HOME": str(tmp_path / "eve")}, name=copy, file=str(variant))
    assert 0 < stored_bytes(hub) - before < MB

    # It goes on where the first repository is gone, and is whole by both ways.
    hub.api("ada").delete_repo(name)
    for way in ("0", "1"):
        env = {"HF_HUB_DISABLE_XET": way, "HF_HOME": str(tmp_path / f"reader-{way}")}
        assert run_client(DOWN, person="bob", env=env, name=copy) == sha256(variant.read_bytes())


@pytest.mark.parametrize("change", [{"private": True}, {"gated": "manual"}], ids=["private", "gated"])
def test_what_may_not_be_downloaded_is_sent_in_full_and_nothing_tells_that_it_was_there(
    hub: Hub, name: str, sent: Path, tmp_path: Path, run_client: Run, change: dict[str, Any]
) -> None:
    hub.api("ada").update_repo_settings(name, **change)
    before, copy = stored_bytes(hub), name.replace("ada/", "eve/")
    hub.api("eve").create_repo(copy)
    [(chunk, xorb)] = rows(
        hub,
        "SELECT c.chunk_hash, c.xorb_hash FROM xet_chunk c JOIN repo r ON r.id = c.repo_id WHERE r.key = ? LIMIT 1",
        f"models/{name}",
    )
    eve, ada = writer_token(hub, "eve", copy), writer_token(hub, "ada", name)
    known, unknown = [ask(eve, f"/v1/chunks/default/{each}") for each in (chunk, "1" * 64)]
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (404, known.content)
    assert [grant(eve, xorb), grant(eve, "1" * 64), grant(ada, xorb)] == [404, 404, 200]
    assert ask(ada, f"/v1/chunks/default/{chunk}").status_code == 200

    run_client(UP, person="eve", env={"HF_HOME": str(tmp_path / "eve")}, name=copy, file=str(sent))
    assert xorb_bytes(hub, copy) > 6 * MB  # eve sent all of it
    assert stored_bytes(hub) == before  # and it lies there once
    env = {"HF_HOME": str(tmp_path / "reader")}
    assert run_client(DOWN, person="bob", env=env, name=copy) == sha256(sent.read_bytes())
    assert (
        ask(read_token(hub, "bob", copy, "main"), f"/v2/reconstructions/{xet_hash(hub, 'bob', copy)}").status_code
        == 200
    )


def test_a_client_that_remembers_what_it_may_no_longer_name_gets_through_on_its_next_try(
    hub: Hub, name: str, sent: Path, tmp_path: Path, run_client: Run
) -> None:
    copy, env = name.replace("ada/", "eve/"), {"HF_HOME": str(tmp_path / "eve")}
    run_client(UP, person="eve", env=env, name=copy, file=str(sent))
    hub.api("eve").permanently_delete_lfs_files(copy, hub.api("eve").list_lfs_files(copy))
    hub.api("ada").update_repo_settings(name, private=True)
    again = """
        from huggingface_hub import HfApi
        api, answer = HfApi(), []
        for _ in range(2):
            try:
                done = api.upload_file(path_or_fileobj=values["file"], path_in_repo="again.bin", repo_id=values["name"])
                answer.append("sent")
            except Exception as error:
                answer.append(str(error))
    """
    first, second = run_client(again, person="eve", env=env, name=copy, file=str(sent))
    assert "names data that was not uploaded" in first
    assert second == "sent"
    assert xorb_bytes(hub, copy) > 6 * MB
