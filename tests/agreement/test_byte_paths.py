"""Ids and addresses are no keys: whoever knows an old commit, a digest, a blob or somebody else's address gets nothing.

Each row is a way to bytes, tried by people whom the decision denies them, who know every id there is. Xet's ways, those
of git's protocol between commits, and a bucket's addresses need real clients: tests/wire (docs/security.md names them).
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import tokens
from gatekeeper.accounts import Principal, people
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.releases.tables import Release
from gatekeeper.repos import (
    AddFile,
    AddLfs,
    Gate,
    Repo,
    RepoKind,
    RepoObject,
    StoredObject,
    catalogue,
    history,
    lfs_downloads,
)
from tests.agreement.hub import Hub
from tests.gatekeeper.licensing.builders import make_person

WEIGHTS = b"weights that are nobody's business" * 100
SMALL = b'{"a": "small secret"}'
OID = hashlib.sha256(WEIGHTS).hexdigest()
BLOB = hashlib.sha1(b"blob %d\0" % len(SMALL) + SMALL, usedforsecurity=False).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(WEIGHTS)}\n".encode()
PLACES = ("private", "gated", "draft", "held")


@dataclass(frozen=True)
class Known:
    """What the person who tries knows: the repository, its old and present commits, and an address of its owner's."""

    repo: str
    old: str
    present: str
    address: str


@dataclass(frozen=True)
class World:
    """eve, who has a repository of her own, and the places whose bytes she may not have."""

    credentials: dict[str, dict[str, str]]
    owner: dict[str, str]
    places: dict[str, Known]


Request = tuple[str, str, dict[str, Any]]
MINE = "eve/mine"


def batch(repo: str, operation: str) -> Request:
    asked = {"operation": operation, "objects": [{"oid": OID, "size": len(WEIGHTS)}]}
    return "POST", f"/{repo}.git/info/lfs/objects/batch", {"json": asked}


def commit(repo: str, *operations: dict[str, Any], query: str = "") -> Request:
    rows = [{"key": "header", "value": {"summary": "mine now", "description": ""}}, *operations]
    content = b"\n".join(json.dumps(row).encode() for row in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    return "POST", f"/api/models/{repo}/commit/main{query}", {"content": content, "headers": headers}


def fetch(repo: str, *ids: str) -> Request:
    lines = [f"want {one}\n".encode() for one in ids]
    body = b"".join(b"%04x" % (len(line) + 4) + line for line in lines) + b"0000" + b"0009done\n"
    headers = {"Content-Type": "application/x-git-upload-pack-request"}
    return "POST", f"/{repo}.git/git-upload-pack", {"content": body, "headers": headers}


def named(path: str = "w.bin") -> dict[str, Any]:
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": OID, "size": len(WEIGHTS)}}


def pointed() -> dict[str, Any]:
    content = base64.b64encode(POINTER).decode()
    return {"key": "file", "value": {"path": "w.bin", "content": content, "encoding": "base64"}}


def copied(known: Known, **more: str) -> dict[str, Any]:
    return {"key": "copyFile", "value": {"path": "w.bin", "srcPath": "w.bin", "srcRevision": known.old, **more}}


def into_mine(known: Known) -> Request:
    asked = {"target": {"type": "model", "name": MINE}, "files": [{"sha256": OID, "filename": "w.bin"}]}
    return "POST", f"/api/models/{known.repo}/lfs-files/duplicate", {"json": asked}


WAYS: dict[str, Callable[[Known], Request]] = {
    "the file on main": lambda known: ("GET", f"/{known.repo}/resolve/main/w.bin", {}),
    "an old commit": lambda known: ("GET", f"/{known.repo}/resolve/{known.old}/w.bin", {}),
    "an old commit, shortened": lambda known: ("GET", f"/{known.repo}/resolve/{known.old[:8]}/config.json", {}),
    "a range of an old commit": lambda known: (
        "GET",
        f"/{known.repo}/resolve/{known.old}/w.bin",
        {"headers": {"Range": "bytes=0-9"}},
    ),
    "an old commit as a proposal": lambda known: ("GET", f"/{known.repo}/resolve/refs%2Fpr%2F1/w.bin", {}),
    "an old commit by my repository": lambda known: ("GET", f"/{MINE}/resolve/{known.old}/w.bin", {}),
    "an old commit's page": lambda known: ("GET", f"/{known.repo}/blob/{known.old}/config.json", {}),
    "an old commit's page of mine": lambda known: ("GET", f"/{MINE}/blob/{known.old}/config.json", {}),
    "a blob as a revision": lambda known: ("GET", f"/{known.repo}/resolve/{BLOB}/config.json", {}),
    "a blob as a revision of mine": lambda known: ("GET", f"/{MINE}/resolve/{BLOB}/config.json", {}),
    "headers of weights": lambda known: ("GET", f"/api/models/{known.repo}/safetensors-metadata/w.bin", {}),
    "LFS, by digest": lambda known: batch(known.repo, "download"),
    "LFS, by digest, from mine": lambda known: batch(MINE, "download"),
    "LFS, somebody else's address": lambda known: ("GET", known.address, {}),
    "LFS, verified as mine": lambda known: (
        "POST",
        f"/{MINE}.git/info/lfs/objects/verify",
        {"json": {"oid": OID, "size": len(WEIGHTS)}},
    ),
    "a commit of mine names the digest": lambda known: commit(MINE, named()),
    "a commit of mine holds a pointer": lambda known: commit(MINE, pointed()),
    "a proposal names the digest": lambda known: commit(known.repo, named("x.bin"), query="?create_pr=1"),
    "a proposal of mine names the digest": lambda known: commit(MINE, named("x.bin"), query="?create_pr=1"),
    "a copy of an old commit's file": lambda known: commit(MINE, copied(known)),
    "a copy within the repository": lambda known: commit(known.repo, copied(known), query="?create_pr=1"),
    "files for my repository": into_mine,
    "a duplicate": lambda known: ("POST", f"/api/models/{known.repo}/duplicate", {"json": {"repository": "eve/copy"}}),
    "git, an old commit": lambda known: fetch(known.repo, known.old),
    "git, a blob": lambda known: fetch(known.repo, BLOB),
    "git, an old commit from mine": lambda known: fetch(MINE, known.old),
    "git, a blob from mine": lambda known: fetch(MINE, BLOB),
    "Xet, a token for an old commit": lambda known: (
        "GET",
        f"/api/models/{known.repo}/xet-read-token/{known.old}",
        {},
    ),
    "Xet, a token for it by mine": lambda known: ("GET", f"/api/models/{MINE}/xet-read-token/{known.old}", {}),
}


@pytest.fixture(scope="module")
def world(hub: Hub) -> World:
    async def fill(session: AsyncSession) -> World:
        async with hub.gatekeeper.store.stage() as staged:
            await staged.write(WEIGHTS)
            await staged.keep()
        session.add(StoredObject(sha256=OID, size_bytes=len(WEIGHTS)))
        frieda, eve = await make_person(session, "frieda"), await make_person(session, "eve")
        mine = await catalogue.create(session, RepoKind.MODEL, "eve", "mine", by=eve)
        await history.commit(session, mine, "main", [AddFile("a.txt", b"mine")], summary="mine", by=eve)
        places = {place: await _place(session, hub, frieda, place) for place in PLACES}
        owner = await _credential(session, hub, frieda)
        return World({"eve": await _credential(session, hub, eve), "nobody": {}}, owner, places)

    return hub.write(fill)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_who_may_not_have_the_bytes_gets_them_by_no_id_and_no_address(
    hub: Hub, world: World, way: str, place: str
) -> None:
    for who, credential in world.credentials.items():
        if who == "nobody" and way == "LFS, somebody else's address":
            continue  # it stands for its person for an hour; that person's right is decided again each time
        method, path, options = WAYS[way](world.places[place])
        answer = hub.ask(method, path, credential, **options)
        assert not _tells(answer), f"{who} got it"
        if answer.status_code == 200:
            if way == "a proposal names the digest":
                _assert_closed(hub, world.places[place], answer.json()["pullRequestUrl"].rpartition("/")[2], credential)
                continue
            assert way.startswith(("LFS, by digest", "git, ")), f"{who}: {answer.text[:300]}"
            assert "actions" not in answer.text
            assert b"PACK" not in answer.content


@pytest.mark.parametrize("place", PLACES)
def test_nothing_came_to_lie_in_a_repository_of_those_who_tried(hub: Hub, world: World, place: str) -> None:
    for make in WAYS.values():
        method, path, options = make(world.places[place])
        hub.ask(method, path, world.credentials["eve"], **options)
    files = hub.ask("GET", f"/api/models/{MINE}/tree/main?recursive=true", world.credentials["eve"]).json()
    assert "w.bin" not in {row["path"] for row in files}
    assert hub.ask("GET", "/api/models/eve/copy", world.credentials["eve"]).status_code == 404


@pytest.mark.parametrize("place", ["private", "gated", "draft"])
def test_the_owner_gets_them_by_the_same_ids(hub: Hub, world: World, place: str) -> None:
    known = world.places[place]
    for path in (f"/{known.repo}/resolve/{known.old}/w.bin", f"/{known.repo}/resolve/main/w.bin", known.address):
        assert hub.ask("GET", path, world.owner).content == WEIGHTS
    assert hub.ask("GET", known.address, {}).content == WEIGHTS, "git lfs sends no token to a signed address"
    method, path, options = fetch(known.repo, known.present)
    assert b"PACK" in hub.ask(method, path, world.owner, **options).content


def _assert_closed(hub: Hub, known: Known, number: str, credential: dict[str, str]) -> None:
    """A proposal may rename what its repository has; it is decided as what it is based on, under any name."""
    assert known.repo.endswith("/gated-one"), "what is proposed to must be known to its author"
    ref = f"refs%2Fpr%2F{number}"
    for path in (f"/{known.repo}/resolve/{ref}/x.bin", f"/api/models/{known.repo}/xet-read-token/{ref}"):
        assert hub.ask("GET", path, credential).status_code == 403
    method, path, options = batch(known.repo, "download")
    assert "actions" not in hub.ask(method, path, credential, **options).text


def _tells(answer: httpx2.Response) -> bool:
    return WEIGHTS[:10] in answer.content or b"small secret" in answer.content


async def _credential(session: AsyncSession, hub: Hub, principal: Principal) -> dict[str, str]:
    person = await people.get(session, principal.person_id or "")
    assert person is not None
    scopes = ["read", "download", "generate", "write"]
    key = hub.gatekeeper.keys.tokens
    _, secret = await tokens.issue(session, person, label="t", role="write", scopes=scopes, key=key)
    return {"Authorization": f"Bearer {secret}"}


async def _place(session: AsyncSession, hub: Hub, owner: Principal, place: str) -> Known:
    repo = await catalogue.create(session, RepoKind.MODEL, "frieda", f"{place}-one", by=owner)
    session.add(RepoObject(repo_id=repo.id, sha256=OID))
    await session.flush()
    old = await _commit(session, hub, repo, owner, AddLfs("w.bin", OID, len(WEIGHTS)), AddFile("config.json", SMALL))
    present = await _commit(session, hub, repo, owner, AddFile("README.md", b"# A model\n"))
    match place:
        case "private":
            repo.is_private = True
        case "gated":
            repo.gate = Gate.MANUAL
        case _:
            repo.is_staged = True
    if place == "held":
        stage = Release(repo_id=repo.id, commit_id=present, manifest_sha256="m" * 64, stage=Stage.OPEN, held_at=now())
        session.add(stage)
    session.add(repo)
    await session.flush()
    key = hub.gatekeeper.keys.links
    signed = lfs_downloads.sign(key, repo, present, OID, by=owner, instant=now())
    return Known(repo.full_name, old, present, f"/downloads/lfs/{signed}")


async def _commit(session: AsyncSession, hub: Hub, repo: Repo, owner: Principal, *operations: AddFile | AddLfs) -> str:
    store = hub.gatekeeper.store
    return await history.commit(session, repo, "main", list(operations), summary="more", by=owner, store=store)
