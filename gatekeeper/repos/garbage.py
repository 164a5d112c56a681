"""Cleaning up: removes what nothing refers to, and nothing that a running upload may be about to refer to.

First rows, in one write transaction for each repository, where nothing can change between the look and the deletion.
Then files without a row: each is removed within a write transaction that looks again, unless it turns out to have
arrived a moment ago. A crash at any point leaves too much, never too little.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import objects
from gatekeeper.repos.rows import affected
from gatekeeper.repos.storage import Lying, Store, part_key
from gatekeeper.repos.tables import (
    CardTag,
    FileScan,
    Repo,
    RepoObject,
    RepoXorb,
    StoredObject,
    StoredXorb,
    Upload,
    UploadPart,
    XetChunk,
    XetFile,
    XetPart,
)

UNCOMMITTED_DAYS = 7  # an interrupted upload can be taken up for that long
XORB_DAYS = 28  # clients refer to what they sent for three weeks
_QUIET = timedelta(hours=1)  # since a repository last received something through Xet
_FRESH_SECONDS = 24 * 3600.0  # a file this young may be about to get its row
_QUERY_ROWS = 500
_COLLECTED = "repos:store:clean"

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Swept:
    """What was removed. `uncommitted` are files that were uploaded to a repository and never committed."""

    staged: int = 0
    uncommitted: int = 0
    objects: int = 0
    xorbs: int = 0
    freed_bytes: int = 0
    epochs_raised: int = 0


async def collect(db: Database, store: Store, *, xorb_days: int = XORB_DAYS, clock: Clock = now) -> Swept:
    """Remove what nothing refers to.

    xorb_days  how long a xorb that no registered file is made of is kept after it was sent or named last
    """
    swept = Swept()
    instant = clock()
    await _sweep_staging(store, swept)
    await _sweep_parts(db, store, swept)
    async with db.read() as s:
        repo_ids = list(await s.scalars(sa.select(col(Repo.id)).order_by(col(Repo.id))))
    for repo_id in repo_ids:
        async with db.write() as s:
            repo = await s.get(Repo, repo_id)
            if repo is None:
                continue
            if repo.deleted_at is not None:
                await _forget(s, repo, swept)
            else:
                await _drop_uncommitted(s, repo, swept, before=instant - timedelta(days=UNCOMMITTED_DAYS))
                await _drop_xorbs(s, repo, swept, instant=instant, days=xorb_days)
    async with db.write() as s:
        await _drop_unreferred(s, instant=instant)
    await _sweep_objects(db, store, swept)
    await _sweep_xorbs(db, store, swept)
    async with db.write() as s:
        await ledger.record(s, _COLLECTED, body={"removed": _body(swept)})
    return swept


async def collect_when_due(db: Database, store: Store, *, hours: int) -> Swept | None:
    """`collect`, where `hours` have passed since the last time, or since there was a repository; 0 hours: never."""
    if not hours:
        return None
    async with db.read() as s:
        last = await s.scalar(
            sa.select(sa.func.max(col(LedgerEvent.occurred_at))).where(col(LedgerEvent.kind) == _COLLECTED)
        )
        since = last or await s.scalar(sa.select(sa.func.min(col(Repo.created_at))))
    if since is None or since > now() - timedelta(hours=hours):
        return None
    return await collect(db, store)


def _body(swept: Swept) -> dict[str, int]:
    return {name: getattr(swept, name) for name in Swept.__slots__}


# Rows.


async def _forget(s: AsyncSession, repo: Repo, swept: Swept) -> None:
    """A deleted repository refers to nothing any more: nobody can reach it, and nothing of its id comes back."""
    for table in (XetChunk, XetFile, RepoXorb, Upload, RepoObject, FileScan, CardTag):
        await _delete(s, table, col(table.repo_id) == repo.id)


async def _drop_uncommitted(s: AsyncSession, repo: Repo, swept: Swept, *, before: datetime) -> None:
    """Files that were sent long ago and that no commit names, whichever branch or old revision it may be on."""
    last_needed = sa.func.coalesce(col(RepoObject.renewed_at), col(RepoObject.uploaded_at))
    old = set(
        await s.scalars(
            sa.select(col(RepoObject.sha256)).where(col(RepoObject.repo_id) == repo.id, last_needed < before)
        )
    )
    gone = sorted(old - await objects.named_by_pointers(s, repo.id)) if old else []
    for some in _batches(gone):
        named = sa.and_(col(XetFile.repo_id) == repo.id, col(XetFile.sha256).in_(some))
        file_hashes = list(await s.scalars(sa.select(col(XetFile.file_hash)).where(named)))
        await _delete(s, XetChunk, col(XetChunk.repo_id) == repo.id, col(XetChunk.file_hash).in_(file_hashes))
        await _delete(s, XetFile, named)
        await _delete(s, Upload, col(Upload.repo_id) == repo.id, col(Upload.sha256).in_(some))
        swept.uncommitted += await _delete(
            s, RepoObject, col(RepoObject.repo_id) == repo.id, col(RepoObject.sha256).in_(some)
        )


async def _drop_xorbs(s: AsyncSession, repo: Repo, swept: Swept, *, instant: datetime, days: int) -> None:
    """Claims to xorbs that no registered file of the repository is made of.

    Clients remember them, so a new epoch makes all start afresh.
    """
    last_needed = sa.func.coalesce(col(RepoXorb.renewed_at), col(RepoXorb.received_at))
    here = col(RepoXorb.repo_id) == repo.id
    latest: datetime | None = await s.scalar(
        sa.select(col(RepoXorb.received_at)).where(here).order_by(col(RepoXorb.received_at).desc()).limit(1)
    )
    if latest is None or latest > instant - _QUIET:
        return  # an upload is running, or there is nothing
    is_used = sa.exists().where(col(XetPart.repo_id) == repo.id, col(XetPart.xorb_hash) == col(RepoXorb.xorb_hash))
    is_old = last_needed < instant - timedelta(days=days)
    gone = sorted(await s.scalars(sa.select(col(RepoXorb.xorb_hash)).where(here, is_old, ~is_used)))
    for some in _batches(gone):
        await _delete(s, RepoXorb, here, col(RepoXorb.xorb_hash).in_(some))
    if gone:
        repo.xet_epoch += 1
        s.add(repo)
        swept.epochs_raised += 1


async def _drop_unreferred(s: AsyncSession, *, instant: datetime) -> None:
    """What no repository refers to any more.

    A xorb that was sent or named within a day stays: that is compared in the row that is removed, so an upload which
    refers to it in a transaction of the same moment either finds it gone, or changes the row first and keeps it.
    """
    referred = sa.select(col(RepoObject.sha256)).where(col(RepoObject.sha256) == col(StoredObject.sha256))
    await _delete(s, StoredObject, ~sa.exists(referred))
    await _delete(
        s,
        StoredXorb,
        col(StoredXorb.renewed_at) < instant - timedelta(seconds=_FRESH_SECONDS),
        ~sa.exists().where(col(RepoXorb.xorb_hash) == col(StoredXorb.xorb_hash)),
        ~sa.exists().where(col(XetPart.xorb_hash) == col(StoredXorb.xorb_hash)),
    )


async def _delete(s: AsyncSession, table: type[SQLModel], *where: sa.ColumnElement[bool]) -> int:
    return affected(await s.execute(sa.delete(table).where(*where)))


def _batches(names: list[str]) -> Iterable[list[str]]:
    return (names[at : at + _QUERY_ROWS] for at in range(0, len(names), _QUERY_ROWS))


# Files.


async def _sweep_staging(store: Store, swept: Swept) -> None:
    for lying in [lying async for lying in store.listing("staging")]:
        freed = await store.remove(lying.key, older_than_seconds=_FRESH_SECONDS)
        swept.staged, swept.freed_bytes = swept.staged + (freed is not None), swept.freed_bytes + (freed or 0)


async def _sweep_objects(db: Database, store: Store, swept: Swept) -> None:
    async with db.read() as s:
        named = set(await s.scalars(sa.select(col(StoredObject.sha256))))
    for lying in await _old(store, "sha256"):
        sha256 = lying.key.rpartition("/")[2]
        if sha256 in named:
            continue
        async with db.write() as s:
            if await s.get(StoredObject, sha256) is None:
                freed = await store.remove(lying.key, older_than_seconds=_FRESH_SECONDS)
                swept.objects, swept.freed_bytes = swept.objects + (freed is not None), swept.freed_bytes + (freed or 0)


async def _sweep_xorbs(db: Database, store: Store, swept: Swept) -> None:
    for lying in await _old(store, "xorbs"):
        _, place, _, xorb_hash = lying.key.split("/")
        is_named = sa.select(sa.exists().where(col(StoredXorb.xorb_hash) == xorb_hash, col(StoredXorb.place) == place))
        async with db.read() as s:
            if await s.scalar(is_named):
                continue
        async with db.write() as s:
            if not await s.scalar(is_named):
                freed = await store.remove(lying.key, older_than_seconds=_FRESH_SECONDS)
                swept.xorbs, swept.freed_bytes = swept.xorbs + (freed is not None), swept.freed_bytes + (freed or 0)


async def _sweep_parts(db: Database, store: Store, swept: Swept) -> None:
    """Parts of uploads that do not count, or no longer."""
    async with db.read() as s:
        rows = await s.execute(sa.select(col(UploadPart.upload_id), col(UploadPart.number), col(UploadPart.sha256)))
        named = {part_key(upload_id, number, sha256) for upload_id, number, sha256 in rows}
    for lying in await _old(store, "parts"):
        if lying.key not in named:
            freed = await store.remove(lying.key, older_than_seconds=_FRESH_SECONDS)
            swept.staged, swept.freed_bytes = swept.staged + (freed is not None), swept.freed_bytes + (freed or 0)


async def _old(store: Store, folder: str) -> list[Lying]:
    return [lying async for lying in store.listing(folder) if lying.age_seconds >= _FRESH_SECONDS]
