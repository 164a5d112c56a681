"""LFS: nothing is taken on trust, and knowing a digest gives nothing."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import ANONYMOUS, Principal
from gatekeeper.errors import GatekeeperError, Invalid, NotAllowed, RepoNotFound, TooLarge
from gatekeeper.repos import AddLfs, Repo, RepoKind, StoredObject, catalogue, history, lfs
from gatekeeper.repos.lfs import Claim, Wanted
from gatekeeper.repos.storage import DirectoryStore, object_key

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def address(session: AsyncSession, repo: Repo, by: Principal, wanted: Wanted) -> Claim:
    [planned] = await lfs.plan_upload(session, repo, [wanted], by=by, limit_bytes=10**9)
    assert not planned.is_stored
    return lfs.verify_address(KEY, lfs.sign_address(KEY, repo, planned, by=by, instant=NOW), instant=NOW)


async def test_an_upload_is_announced_sent_registered_and_committed(
    session: AsyncSession, repo: Repo, ada: Principal, store: DirectoryStore
) -> None:
    claim = await address(session, repo, ada, Wanted(SHA256, len(CONTENT)))
    await lfs.receive(store, claim, pieces(CONTENT[:100], CONTENT[100:]))
    await lfs.register(session, claim)

    head = await history.commit(
        session, repo, "main", [AddLfs("w.bin", SHA256, len(CONTENT))], summary="x", by=ada, store=store
    )
    assert (await history.entry(session, repo, head, "w.bin")).size == len(CONTENT)
    assert store.path(object_key(SHA256)).read_bytes() == CONTENT
    [again] = await lfs.plan_upload(session, repo, [Wanted(SHA256, len(CONTENT))], by=ada, limit_bytes=10**9)
    assert again.is_stored
    assert await lfs.has(session, repo, SHA256)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ((b"x" * len(CONTENT),), Invalid),
        ((CONTENT[:-1],), Invalid),
        ((), Invalid),
        ((CONTENT, b"x"), TooLarge),
        ((b"x" * 10_000_000,), TooLarge),
    ],
)
async def test_other_bytes_than_announced_leave_nothing(
    session: AsyncSession,
    repo: Repo,
    ada: Principal,
    store: DirectoryStore,
    body: tuple[bytes, ...],
    error: type[GatekeeperError],
) -> None:
    claim = await address(session, repo, ada, Wanted(SHA256, len(CONTENT)))
    with pytest.raises(error):
        await lfs.receive(store, claim, pieces(*body))
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
    assert not await lfs.has(session, repo, SHA256)
    with pytest.raises(Invalid):
        await history.commit(session, repo, "main", [AddLfs("w.bin", SHA256)], summary="x", by=ada, store=store)


async def test_what_another_repository_has_is_neither_stored_nor_there_to_download(
    session: AsyncSession, repo: Repo, grace: Principal, stored: Callable[[Repo, bytes], Awaitable[str]]
) -> None:
    await stored(repo, CONTENT)
    other = await catalogue.create(session, RepoKind.MODEL, "grace", "other", by=grace)
    wanted = [Wanted(SHA256, len(CONTENT)), Wanted("0" * 64, 5)]

    held, unknown = await lfs.plan_upload(session, other, wanted, by=grace, limit_bytes=10**9)
    assert (held.is_stored, held.code) == (unknown.is_stored, unknown.code) == (False, 0)
    held, unknown = await lfs.plan_download(session, other, wanted)
    assert replace(held, sha256="", size=0) == replace(unknown, sha256="", size=0)  # nobody learns that it exists
    [own] = await lfs.plan_download(session, repo, wanted[:1])
    assert (own.is_stored, own.size) == (True, len(CONTENT))


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Wanted("x", 1), 422),
        (Wanted("\ud800", 1), 422),
        (Wanted("A" * 64, 1), 422),
        (Wanted("0" * 64, -1), 413),
        (Wanted("0" * 64, 101), 413),
    ],
)
async def test_a_bad_announcement_is_told_apart(
    session: AsyncSession, repo: Repo, ada: Principal, wanted: Wanted, code: int
) -> None:
    [planned] = await lfs.plan_upload(session, repo, [wanted], by=ada, limit_bytes=100)
    assert (planned.is_stored, planned.code) == (False, code)
    assert planned.problem


async def test_a_stored_file_announced_with_another_size_is_a_mistake(
    session: AsyncSession, repo: Repo, ada: Principal, stored: Callable[[Repo, bytes], Awaitable[str]]
) -> None:
    await stored(repo, CONTENT)
    [planned] = await lfs.plan_upload(session, repo, [Wanted(SHA256, 5)], by=ada, limit_bytes=10**9)
    assert planned.code == 422


async def test_an_address_cannot_be_changed_used_late_or_made_with_another_key(repo: Repo, ada: Principal) -> None:
    planned = lfs.Planned(SHA256, 5, False)
    signed = lfs.sign_address(KEY, repo, planned, by=ada, instant=NOW)
    body, mac = signed.split(".")
    assert lfs.verify_address(KEY, signed, instant=NOW).person_id == ada.person_id
    for bad in (
        f"{body[:-2]}AA.{mac}",
        f"{body}.{mac[:-2]}AA",
        body,
        "",
        ".",
        "é",
        "x" * 3000,
        f"{body}.{mac}.",
        "a.b",
    ):
        with pytest.raises(NotAllowed):
            lfs.verify_address(KEY, bad, instant=NOW)
    with pytest.raises(NotAllowed):
        lfs.verify_address(KEY, signed, instant=NOW + timedelta(seconds=lfs.ADDRESS_SECONDS))
    with pytest.raises(NotAllowed):
        lfs.verify_address(b"x" * 32, signed, instant=NOW)
    with pytest.raises(NotAllowed):
        lfs.sign_address(KEY, repo, planned, by=ANONYMOUS, instant=NOW)


async def test_an_upload_to_a_repository_deleted_meanwhile_gives_nothing(
    session: AsyncSession, repo: Repo, ada: Principal
) -> None:
    claim = await address(session, repo, ada, Wanted(SHA256, len(CONTENT)))
    await catalogue.delete(session, repo, by=ada)
    with pytest.raises(RepoNotFound):
        await lfs.register(session, claim)
    assert await session.get(StoredObject, SHA256) is None
