"""Receiving by Xet: xorbs are verified and kept, shards are checked against them, files are rebuilt into the store.

No database transaction is open while bytes travel or files are decoded. A shard's claims are checked from the tables of
stored xorbs alone: that each may be named here (`reach`), that the client has the chunks it names (range hash), that
the file hash follows from them, and that the decoded bytes have the SHA-256 a commit will name.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.kit.clock import now
from gatekeeper.repos.rows import affected, insert_missing
from gatekeeper.repos.storage import Staged, Store, xorb_key
from gatekeeper.repos.tables import Repo, RepoObject, RepoXorb, StoredXorb, XetFile
from gatekeeper.repos.xet import hashes, shard
from gatekeeper.repos.xet.reach import Reach, Sender, reach
from gatekeeper.repos.xet.registration import cleaned, register_files, renew_xorb
from gatekeeper.repos.xet.shard import ShardFile
from gatekeeper.repos.xet.xorb import MAX_BODY_BYTES, Table, Verifier, decoded

_VERIFY_BYTES = 2**20
_REBUILD_CHUNKS = 1_024  # about 64 MiB between two signs of life
_MAX_CHUNKS = 8_000_000  # in all files of one shard

# The folder of the store that xorbs lie in. Rows name it, so that those stored elsewhere before are still found.
_PLACE = "shared"

Tables = Mapping[bytes, Table]
Places = Mapping[bytes, str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a shard's files was decoded and verified, in bytes."""

    verified: int
    total: int


@dataclass(frozen=True, slots=True)
class ReceivedXorb:
    """A verified xorb on its way into the store. `size` is its stored bytes."""

    xorb_hash: str
    table: Table
    size: int
    staged: Staged


@asynccontextmanager
async def receive_xorb(store: Store, xorb_hash: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[ReceivedXorb]:
    """Verify a xorb while its body arrives; `register_xorb` keeps it. Raises Invalid (400), TooLarge, Unavailable."""
    expected = hashes.parse_printed(xorb_hash)
    if expected is None:
        raise Invalid("This is not the hash of a xorb.", status=400)
    verifier = Verifier()
    arrived = 0
    async with store.stage(limit=MAX_BODY_BYTES) as staged:
        async for batch in _batches(pieces):
            arrived += len(batch)
            if arrived > MAX_BODY_BYTES:  # a footer is read, not staged, so it is counted here
                raise Invalid("This xorb is too long.", status=400)
            await asyncio.to_thread(_verify, verifier, staged, batch)
        table = await asyncio.to_thread(verifier.finish, expected)
        await staged.sync()
        yield ReceivedXorb(xorb_hash, table, staged.size, staged)


async def register_xorb(s: AsyncSession, store: Store, repo: Repo, received: ReceivedXorb) -> bool:
    """Put the xorb into the store and let shards of this repository name it; whether it is new *to the repository*.

    One content can be compressed in many ways, and the table tells where each chunk lies in this one. So bytes and
    table appear together: whoever comes second finds the row, and its bytes are dropped, also if the first one came to
    another repository. Whether it did is nobody's business, so the answer does not tell.
    """
    instant = now()
    row = {
        "xorb_hash": received.xorb_hash,
        "place": _PLACE,
        "size_bytes": received.size,
        "chunks": received.table.packed,
        "received_at": instant,
        "renewed_at": instant,
    }
    if await insert_missing(s, StoredXorb, [row]) == 1:
        await received.staged.keep_as(xorb_key(_PLACE, received.xorb_hash))
    here = {"repo_id": repo.id, "xorb_hash": received.xorb_hash, "received_at": instant, "renewed_at": instant}
    is_new = await insert_missing(s, RepoXorb, [here]) == 1
    await renew_xorb(s, repo.id, received.xorb_hash)
    return is_new


async def accept_shard(
    db: Database,
    store: Store,
    repo: Repo,
    body: bytes,
    *,
    sender: Sender,
    person_id: str | None,
    limit_bytes: int,
    room_bytes: int,
) -> AsyncIterator[Progress]:
    """Check a shard, rebuild its files into the store, and let the repository refer to them; tells progress.

    limit_bytes  largest file
    room_bytes   largest sum of the files in one shard

    Everything or nothing is registered. Raises Invalid (400) with a sentence for the user, and TooLarge. Clients
    remember what they may name and never ask again, so where a shard names what may not be named here (any more), the
    repository gets a new address: the next try starts afresh, and sends everything.
    """
    files = await asyncio.to_thread(shard.parse, body)
    total = sum(file.size for file in files)
    if total > room_bytes or any(file.size > limit_bytes for file in files):
        raise TooLarge(
            f"These files have {total:,} bytes. You may send at most {limit_bytes:,} bytes in one file, and "
            f"{room_bytes:,} bytes together.",
            next_step="Send less at once.",
        )
    async with db.read() as session:
        names = {hashes.printed(term.xorb_hash) for file in files for term in file.terms}
        allowed = await reach(session, repo.id, names, sender)
        tables, places = await _tables(session, [name for name in names if name in allowed])
        known = await _known_files(session, repo, files)
    try:
        await asyncio.to_thread(_check, files, tables, allowed)
    except _OutOfReach:
        async with db.write() as session:
            await _start_afresh(session, repo)
        raise
    verified = 0
    rebuilt: set[str] = set()
    yield Progress(verified, total)
    for file in files:
        if file.sha256 not in rebuilt and known.get(hashes.printed(file.file_hash)) == file.sha256:
            verified += file.size
            continue
        async for decoded_bytes in _rebuild(store, file, tables, places):
            yield Progress(verified + decoded_bytes, total)
        rebuilt.add(file.sha256)
        verified += file.size
    async with db.write() as session:
        await register_files(session, repo, files, tables, sender=sender, rebuilt=rebuilt, person_id=person_id)
    yield Progress(total, total)


def _verify(verifier: Verifier, staged: Staged, batch: bytes) -> None:
    staged.write_here([verifier.feed(batch)])


async def _batches(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of a body joined to about 1 MiB, so that few changes of thread are needed."""
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _VERIFY_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


async def _tables(s: AsyncSession, names: Sequence[str]) -> tuple[dict[bytes, Table], dict[bytes, str]]:
    """By hash, the table of each xorb and the folder it lies in."""
    tables: dict[bytes, Table] = {}
    places: dict[bytes, str] = {}
    for start in range(0, len(names), 500):
        query = sa.select(col(StoredXorb.xorb_hash), col(StoredXorb.place), col(StoredXorb.chunks)).where(
            col(StoredXorb.xorb_hash).in_(names[start : start + 500])
        )
        for row in await s.execute(query):
            raw = hashes.parse_printed(row.xorb_hash)
            assert raw is not None
            tables[raw], places[raw] = Table(row.chunks), row.place
    return tables, places


async def _known_files(s: AsyncSession, repo: Repo, files: Sequence[ShardFile]) -> dict[str, str]:
    """SHA-256 of those files that this repository rebuilt before."""
    wanted = [hashes.printed(file.file_hash) for file in files]
    found: dict[str, str] = {}
    for start in range(0, len(wanted), 500):
        query = (
            sa.select(col(XetFile.file_hash), col(XetFile.sha256))
            .join(
                RepoObject,
                sa.and_(col(RepoObject.repo_id) == col(XetFile.repo_id), col(RepoObject.sha256) == col(XetFile.sha256)),
            )
            .where(col(XetFile.repo_id) == repo.id, col(XetFile.file_hash).in_(wanted[start : start + 500]))
        )
        found.update((row.file_hash, row.sha256) for row in await s.execute(query))
    return found


def _check(files: Sequence[ShardFile], tables: Tables, allowed: Reach) -> None:
    """Checks 1 to 3: every run may be named, possession is proved, the file hash follows. Raises Invalid (400)."""
    chunks = 0
    for file in files:
        for term in file.terms:
            table = tables.get(term.xorb_hash)
            # Not there, there for others, or there in part: nobody learns which.
            if table is None or not allowed.covers(hashes.printed(term.xorb_hash), term.first, term.end):
                raise _OutOfReach()
            if not term.first < term.end <= len(table):
                raise _refused("it names chunks that its xorb does not have")
            chunks += term.end - term.first
            if chunks > _MAX_CHUNKS:
                raise _refused("its files have too many chunks")
            rows = list(table.rows(term.first, term.end))
            if sum(row[1] for row in rows) != term.raw_bytes:
                raise _refused("a length in it is not that of the chunks it names")
            if hashes.range_hash(row[0] for row in rows) != term.range_hash:
                raise _refused("a verification hash does not prove that you have the chunks it names")
        if hashes.file_hash(_children(file, tables)) != file.file_hash:
            raise _refused("a file hash does not follow from the chunks it names")


def _children(file: ShardFile, tables: Tables) -> Iterator[hashes.Child]:
    for term in file.terms:
        for digest, length, _ in tables[term.xorb_hash].rows(term.first, term.end):
            yield digest, length


async def _rebuild(store: Store, file: ShardFile, tables: Tables, places: Places) -> AsyncIterator[int]:
    """Check 4: decode the file into the store under the SHA-256 it must have; yields the bytes done so far."""
    async with store.stage(limit=file.size) as staged:
        pieces = _decode(store, file, tables, places)
        try:
            while await asyncio.to_thread(_write_some, staged, pieces):
                yield staged.size
        except FileNotFoundError:
            raise cleaned() from None
        try:
            await staged.keep(sha256=file.sha256, size=file.size)
        except Invalid:
            raise _refused("the SHA-256 it gives is not that of the file") from None


def _decode(store: Store, file: ShardFile, tables: Tables, places: Places) -> Iterator[bytes]:
    for term in file.terms:
        with store.open(xorb_key(places[term.xorb_hash], hashes.printed(term.xorb_hash))) as stored:
            yield from decoded(stored, tables[term.xorb_hash], term.first, term.end)


def _write_some(staged: Staged, pieces: Iterator[bytes]) -> bool:
    before = staged.size
    staged.write_here(islice(pieces, _REBUILD_CHUNKS))
    return staged.size > before


async def _start_afresh(s: AsyncSession, repo: Repo) -> None:
    """Give the repository a new address for Xet, unless it got one since this upload began."""
    here = sa.and_(col(Repo.id) == repo.id, col(Repo.xet_epoch) == repo.xet_epoch)
    if affected(await s.execute(sa.update(Repo).where(here).values(xet_epoch=repo.xet_epoch + 1))) == 1:
        await ledger.record(s, "repos:xet:readdress", repo=repo.id, body={"epoch": repo.xet_epoch + 1})


class _OutOfReach(Invalid):
    """A shard names what its sender may not name."""

    def __init__(self) -> None:
        super().__init__(
            "The upload cannot be accepted: it names data that was not uploaded to this repository.",
            status=400,
            code="BrokenShard",
            next_step="Start it again: everything will be sent.",
        )


def _refused(why: str) -> Invalid:
    return Invalid(
        f"The upload cannot be accepted: {why}.",
        status=400,
        code="BrokenShard",
        next_step="Start it again; if that does not help, delete the client's Xet cache.",
    )
