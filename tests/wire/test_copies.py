"""Copies between repositories with the real client: server-side for large files, and never past a gate."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wire.server import Hub
from tests.wire.stages import accept_terms
from tests.wire.test_xet import MB, rows, sha256, xorb_bytes

Run = Callable[..., Any]

COPY = """
    from huggingface_hub import CommitOperationCopy, HfApi
    from huggingface_hub.errors import HfHubHTTPError
    api = HfApi()
    api.create_repo(values["name"], exist_ok=True, repo_type=values.get("type"), private=values.get("private"))
    operations = [
        CommitOperationCopy(src_path_in_repo=path, path_in_repo="copied/" + path, src_repo_id=values["source"],
                            src_repo_type="model", src_revision=values.get("revision"))
        for path in values["paths"]
    ]
    try:
        answer = api.create_commit(values["name"], operations, commit_message="copy", repo_type=values.get("type")).oid
    except HfHubHTTPError as error:
        answer = [error.response.status_code, error.response.headers.get("x-error-code"), str(error)]
"""
UP = """
    from huggingface_hub import CommitOperationAdd, HfApi
    api = HfApi()
    api.create_repo(values["name"])
    operations = [CommitOperationAdd("w.bin", values["file"]), CommitOperationAdd("README.md", values["card"].encode())]
    answer = api.create_commit(values["name"], operations, commit_message="add").oid
"""


@pytest.fixture
def source(hub: Hub, name: str, tmp_path: Path, run_client: Run) -> tuple[str, bytes]:
    """ada's repository with a large file and a card under a license that lets copies be passed on; its content."""
    content = random.Random(name).randbytes(MB)
    (tmp_path / "w.bin").write_bytes(content)
    card = "---\nlicense: gatekeeper-emoji-openrail-m\n---\n# Weights\n"
    run_client(UP, person="ada", name=name, file=str(tmp_path / "w.bin"), card=card)
    return name, content


def copy_of(name: str) -> str:
    return name.replace("ada/", "bob/")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_files_are_copied_into_another_repository_without_being_sent(
    hub: Hub, source: tuple[str, bytes], run_client: Run, kind: str
) -> None:
    name, content = source
    made = run_client(COPY, person="bob", name=copy_of(name), source=name, paths=["w.bin", "README.md"], type=kind)
    prefix = "" if kind == "model" else "datasets/"
    with hub.http("eve") as http:
        answer = http.get(f"/{prefix}{copy_of(name)}/resolve/{made}/copied/w.bin")
        assert sha256(answer.content) == sha256(content)
        assert answer.headers["x-xet-hash"]  # it goes on through Xet as well, and can be copied on
        assert b"openrail" in http.get(f"/{prefix}{copy_of(name)}/resolve/{made}/copied/README.md").content
    assert xorb_bytes(hub, copy_of(name)) == 0
    hub.api("ada").delete_repo(name)
    with hub.http("eve") as http:
        assert http.get(f"/{prefix}{copy_of(name)}/resolve/main/copied/w.bin").content == content
    [(found,)] = rows(
        hub,
        "SELECT count(*) FROM ledger_event WHERE kind = 'repos:file:copy' AND body LIKE ?",
        f"%{sha256(content)}%",
    )
    assert found == 1


def test_an_old_revision_is_copied_from_if_it_may_be_downloaded(
    hub: Hub, source: tuple[str, bytes], run_client: Run
) -> None:
    name, content = source
    old = hub.api("ada").model_info(name).sha
    hub.api("ada").delete_file("w.bin", name)
    made = run_client(COPY, person="bob", name=copy_of(name), source=name, paths=["w.bin"], revision=old)
    with hub.http("eve") as http:
        assert http.get(f"/{copy_of(name)}/resolve/{made}/copied/w.bin").content == content


def test_gated_weights_are_copied_by_their_owner_or_with_every_right_into_something_gated(
    hub: Hub, source: tuple[str, bytes], run_client: Run
) -> None:
    name, content = source
    hub.api("ada").update_repo_settings(name, gated="manual")
    body = {
        "target": {"type": "model", "name": copy_of(name)},
        "files": [{"xetHash": "0" * 64, "sha256": sha256(content), "filename": "w.bin"}],
    }
    hub.api("bob").create_repo(copy_of(name))

    def ask(person: str = "bob", **changes: Any) -> tuple[int, str | None]:
        with hub.http(person) as http:
            answer = http.post(f"/api/models/{name}/lfs-files/duplicate", json=body | changes)
            return answer.status_code, answer.headers.get("x-error-code")

    assert ask() == (403, "GatedRepo")
    hub.api("ada").grant_access(name, "bob")
    assert ask()[0] == 403  # may download, and has not accepted the license that lets copies be passed on
    accept_terms(hub, "bob", name)
    assert ask()[0] == 403  # into a repository that is open to everybody
    hub.api("bob").update_repo_settings(copy_of(name), gated="manual")
    assert ask()[0] == 200
    # Not into what is somebody else's, and whether that exists is not told.
    assert ask(target={"type": "model", "name": f"{name}-none"}) == (404, "RepoNotFound")
    hub.api("ada").create_repo(f"{name}-hidden", private=True)
    assert ask(target={"type": "model", "name": f"{name}-hidden"}) == (404, "RepoNotFound")
    assert ask(target={"type": "model", "name": name})[0] == 403
    assert ask("eve", target={"type": "model", "name": name})[0] == 403
    hub.api("ada").create_repo(f"{name}-own")
    assert ask("ada", target={"type": "model", "name": f"{name}-own"})[0] == 200


def test_what_is_not_in_the_source_is_not_copied(hub: Hub, source: tuple[str, bytes]) -> None:
    name, _ = source
    hub.api("ada").create_repo(f"{name}-private", private=True)
    secret = b"\0secret" * 1000
    hub.api("ada").upload_file(path_or_fileobj=secret, path_in_repo="s.bin", repo_id=f"{name}-private")
    hub.api("bob").create_repo(copy_of(name))
    files = [{"xetHash": "0" * 64, "sha256": sha256(secret), "filename": path} for path in ("w.bin", "s.bin")]
    with hub.http("bob") as http:
        body = {"target": {"type": "model", "name": copy_of(name)}, "files": files}
        answer = http.post(f"/api/models/{name}/lfs-files/duplicate", json=body)
        assert (answer.status_code, len(answer.json()["failed"])) == (200, 2)
        hidden = http.post(f"/api/models/{name}-private/lfs-files/duplicate", json=body)
        assert (hidden.status_code, hidden.headers["x-error-code"]) == (404, "RepoNotFound")
    with hub.http("bob") as http:
        line = '{"key":"header","value":{"summary":"x"}}\n{"key":"lfsFile","value":{"path":"s.bin","oid":"%s"}}\n'
        taken = http.post(f"/api/models/{copy_of(name)}/commit/main", content=line % sha256(secret))
        assert taken.status_code == 422
