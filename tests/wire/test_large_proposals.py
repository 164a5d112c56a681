"""Large files in pull requests of people who may not write: by Xet, by LFS in parts, by git; and who tries more."""

import base64
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import hf_hub_download

from tests.wire.server import Hub
from tests.wire.serving import serving
from tests.wire.test_git import WEIGHTS, Git, git, url, write

__all__ = ["git"]

MB = 2**20
# A pull request with two large files, a commit to it with a third, and the evidence of how they came.
PROPOSE = """
    import pathlib
    from huggingface_hub import CommitOperationAdd, HfApi
    api, name, folder = HfApi(), values["name"], pathlib.Path(values["folder"])
    made = api.upload_folder(repo_id=name, folder_path=folder / "first", create_pr=True)
    api.upload_file(
        path_or_fileobj=folder / "later.bin", path_in_repo="later.bin", repo_id=name, revision=made.pr_revision
    )
    answer = made.pr_revision
"""

REFUSED = """
    from huggingface_hub import HfApi
    try:
        answer = HfApi().upload_file(
            path_or_fileobj=values["path"], path_in_repo="large.bin", repo_id=values["name"], revision="refs/pr/1"
        ).oid
    except Exception as error:
        answer = str(error)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that asks for parts early and lets nobody propose more than 8 MiB."""
    limits = {"lfs_multipart_bytes": MB, "lfs_part_bytes": MB, "proposal_max_bytes": 8 * MB}
    with serving(tmp_path_factory.mktemp("own"), **limits) as server:
        yield server


@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_a_stranger_proposes_large_files_by_xet_and_by_lfs_in_parts(
    own: Hub, run_client: Callable[..., Any], tmp_path: Path, way: str
) -> None:
    ada, name = own.api("ada"), f"ada/{way}"
    ada.create_repo(name)
    contents = {f"first/{n}.bin": random.Random(f"{way}{n}").randbytes(size) for n, size in ((1, 2 * MB), (2, 70_000))}
    contents["later.bin"] = random.Random(f"{way} later").randbytes(70_000)
    for path, content in contents.items():
        write(tmp_path, path, content)
    env = {"HF_ENDPOINT": own.url, "HF_TOKEN": own.tokens["bob"]} | (
        {"HF_HUB_DISABLE_XET": "1"} if way == "lfs" else {}
    )
    revision = run_client(PROPOSE, person=None, env=env, name=name, folder=str(tmp_path))
    kept = {path.removeprefix("first/"): content for path, content in contents.items()}
    assert _read(own, name, kept, revision, tmp_path / "proposed") == kept
    assert bool(ada.get_paths_info(name, ["1.bin"], revision=revision)[0].xet_hash) is (way == "xet")
    assert ada.list_repo_files(name) == [".gitattributes"]
    ada.merge_pull_request(name, 1)
    assert _read(own, name, kept, "main", tmp_path / "merged") == kept


def test_nobody_announces_more_than_they_may_propose(own: Hub) -> None:
    own.api("ada").create_repo("ada/full")
    with own.http("eve") as http:
        oids = [hashlib.sha256(bytes([n])).hexdigest() for n in range(2)]
        told = _batch(http, "ada/full", [(oids[0], 9 * MB), (oids[1], MB)]).json()["objects"]
    assert told[0]["error"]["code"] == 413
    assert "actions" in told[1]


@pytest.mark.parametrize("way", ["xet", "commit", "push"])
def test_nobody_sends_more_than_they_may_propose(
    own: Hub, run_client: Callable[..., Any], git: Git, tmp_path: Path, way: str
) -> None:
    ada, eve, name, at = own.api("ada"), own.api("eve"), f"ada/limit-{way}", tmp_path / "clone"
    ada.create_repo(name)
    eve.upload_file(path_or_fileobj=b"mine", path_in_repo="mine.txt", repo_id=name, create_pr=True)
    head = ada.list_repo_commits(name, revision="refs/pr/1")[0].commit_id
    content = random.Random(way).randbytes(9 * MB)
    match way:
        case "xet":
            write(tmp_path, "large.bin", content)
            env = {"HF_ENDPOINT": own.url, "HF_TOKEN": own.tokens["eve"]}
            said = run_client(REFUSED, person=None, env=env, name=name, path=str(tmp_path / "large.bin"))
        case "commit":
            with own.http("eve") as http:
                first = _send(http, name, content[: 5 * MB])
                refused = _send(http, name, content[5 * MB :])
            assert (first.status_code, refused.status_code) == (200, 413)
            head, said = first.json()["commitOid"], refused.text
        case _:
            git("clone", "-q", url(own, "eve", name), at)
            git("fetch", "-q", "origin", "refs/pr/1:pr/1", at=at)
            git("checkout", "-q", "pr/1", at=at)
            write(at, "large.bin", content)
            git("add", ".", at=at)
            git("commit", "-q", "-m", "Large", at=at)
            said = git("push", "origin", "pr/1:refs/pr/1", at=at, ok=False).stderr
    assert "ou may send at most 8,388," in said
    assert ada.list_repo_commits(name, revision="refs/pr/1")[0].commit_id == head


def test_git_pushes_to_ones_own_pull_request_with_large_files(hub: Hub, name: str, git: Git, tmp_path: Path) -> None:
    ada, bob, at = hub.api("ada"), hub.api("bob"), tmp_path / "clone"
    ada.create_repo(name)
    bob.upload_file(path_or_fileobj=b"bob", path_in_repo="bob.txt", repo_id=name, create_pr=True)
    git("clone", "-q", url(hub, "bob", name), at)
    git("lfs", "install", "--local", at=at)
    git("fetch", "-q", "origin", "refs/pr/1:pr/1", at=at)
    git("checkout", "-q", "pr/1", at=at)
    write(at, "w.safetensors", WEIGHTS)
    git("add", ".", at=at)
    git("commit", "-q", "-m", "Weights", at=at)
    git("push", "-q", "origin", "pr/1:refs/pr/1", at=at)
    assert _read(hub, name, ["w.safetensors"], "refs/pr/1", tmp_path / "a") == {"w.safetensors": WEIGHTS}
    assert bob.get_paths_info(name, ["w.safetensors"], revision="refs/pr/1")[0].lfs is not None
    assert [event.type for event in bob.get_discussion_details(name, 1).events] == ["commit", "commit"]
    for target in ("pr/1:main", "pr/1:refs/heads/mine", ":refs/pr/1", "pr/1:refs/pr/2"):
        git("push", "--no-verify", "origin", target, at=at, ok=False)
    git("push", "--no-verify", url(hub, "eve", name), "pr/1:refs/pr/1", at=at, ok=False)
    git("commit", "-q", "--amend", "-m", "Other weights", at=at)
    assert "adds commits" in git("push", "--no-verify", "--force", "origin", "pr/1:refs/pr/1", at=at, ok=False).stderr
    bob.change_discussion_status(name, 1, "closed")
    git("push", "--no-verify", "origin", "pr/1:refs/pr/1", at=at, ok=False)
    assert ada.list_repo_files(name) == [".gitattributes"]
    bob.change_discussion_status(name, 1, "open")
    ada.merge_pull_request(name, 1)
    git("clone", "-q", url(hub, None, name), tmp_path / "again")
    assert _read(hub, name, ["w.safetensors"], "main", tmp_path / "b") == {"w.safetensors": WEIGHTS}


def test_uploads_go_nowhere_that_their_sender_may_not_commit_to(hub: Hub, name: str, tmp_path: Path) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    ada.create_repo(name)
    secret = f"{name}-secret"
    ada.create_repo(secret, private=True)
    ada.upload_file(path_or_fileobj=b"\0hidden" * 9_000, path_in_repo="w.bin", repo_id=secret)
    hidden = hashlib.sha256(b"\0hidden" * 9_000).hexdigest()
    bob.upload_file(path_or_fileobj=b"\0bobs" * 9_000, path_in_repo="b.bin", repo_id=name, create_pr=True)
    bobs = hashlib.sha256(b"\0bobs" * 9_000).hexdigest()
    with hub.http("bob") as b, hub.http("eve") as e, hub.http() as nobody, hub.http("ada") as a:
        token = f"/api/models/{name}/xet-write-token"
        asked = [(b, "main", ""), (e, "refs%2Fpr%2F1", ""), (e, "refs%2Fpr%2F9", ""), (nobody, "main", "?create_pr=1")]
        assert [who.get(f"{token}/{at}{query}").status_code for who, at, query in asked] == [403, 403, 404, 401]
        assert _batch(e, name, [(bobs, 9)], ref="refs/heads/main").status_code == 403
        # What the repository or another proposer has is not told, and must be sent.
        assert "actions" in _batch(e, name, [(bobs, 45_000), (hidden, 63_000)]).json()["objects"][0]
        for digest in (bobs, hidden):
            assert _commit(e, name, "main?create_pr=1", digest).headers["x-error-code"] == "LfsObjectMissing"
        assert _commit(b, name, "refs%2Fpr%2F1", hidden).headers["x-error-code"] == "LfsObjectMissing"
        assert _commit(e, name, "refs%2Fpr%2F1", bobs).status_code == 403
        # A token for bob's own place there is none for ada's repository, and eve's place is not his.
        places = {who: c.get(f"{token}/main?create_pr=1").json() for who, c in (("bob", b), ("eve", e), ("ada", a))}
        assert len({place["casUrl"] for place in places.values()}) == 3
        for other in ("eve", "ada"):
            at = f"{places[other]['casUrl']}/v1/xorbs/default/{'0' * 64}"
            bearer = {"Authorization": f"Bearer {places['bob']['accessToken']}"}
            assert b.post(at, content=b"x", headers=bearer).status_code == 403
        bob.change_discussion_status(name, 1, "closed")
        assert b.get(f"{token}/refs%2Fpr%2F1").status_code == 409
        assert _batch(b, name, [(hidden, 9)], ref="refs/pr/1").status_code == 409
    assert hub.api("eve").list_repo_refs(name, include_pull_requests=True).pull_requests[0].ref == "refs/pr/1"


def _batch(
    http: httpx2.Client, name: str, objects: list[tuple[str, int]], *, ref: str | None = None
) -> httpx2.Response:
    body = {"operation": "upload", "objects": [{"oid": oid, "size": size} for oid, size in objects]}
    return http.post(f"/{name}.git/info/lfs/objects/batch", json=body | ({"ref": {"name": ref}} if ref else {}))


def _send(http: httpx2.Client, name: str, content: bytes) -> httpx2.Response:
    file = {"path": "large.txt", "content": base64.b64encode(content).decode(), "encoding": "base64"}
    lines = [{"key": "header", "value": {"summary": "Mine"}}, {"key": "file", "value": file}]
    return http.post(
        f"/api/models/{name}/commit/refs%2Fpr%2F1", content=b"\n".join(json.dumps(x).encode() for x in lines)
    )


def _commit(http: httpx2.Client, name: str, revision: str, digest: str) -> httpx2.Response:
    named = {"path": "x.bin", "algo": "sha256", "oid": digest}
    lines = [{"key": "header", "value": {"summary": "Mine"}}, {"key": "lfsFile", "value": named}]
    return http.post(f"/api/models/{name}/commit/{revision}", content=b"\n".join(json.dumps(x).encode() for x in lines))


def _read(hub: Hub, name: str, paths: Any, revision: str, cache: Path) -> dict[str, bytes]:
    """The files as somebody who is not signed in gets them."""
    return {
        path: Path(
            hf_hub_download(name, path, revision=revision, endpoint=hub.url, token=False, cache_dir=cache)
        ).read_bytes()
        for path in paths
    }
