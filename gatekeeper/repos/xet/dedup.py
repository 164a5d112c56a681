"""Global deduplication: "who holds this chunk?", asked by clients before they send it.

It is looked for in the repository they send to, and in files of others that they may download at this moment; what
else the store holds is answered like what nobody has, from the same queries. The answer is a shard that describes the
xorbs around the chunk. Raw chunk hashes are what possession is proved by (`hashes.range_hash`), so they are never
handed out: every one in an answer is hashed again under a random key that comes with it, by which a client recognizes
the chunks it has and learns nothing about others. Chunks of a xorb that may not be named (`reach`) appear as noise.
Source: the public Xet specification, deduplication and shard format.
"""

import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from blake3 import blake3
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos.tables import Repo, RepoObject, StoredXorb, XetChunk, XetFile
from gatekeeper.repos.xet import hashes
from gatekeeper.repos.xet.files import REFERRED_TO, unpack
from gatekeeper.repos.xet.reach import Reach, Sender, reach
from gatekeeper.repos.xet.shard import END, TAG, VERSION, ShardFile
from gatekeeper.repos.xet.xorb import HEADER_BYTES, Table

# Clients keep what an answer says until then. Xorbs live longer, and a new epoch makes answers void.
ANSWER_SECONDS = 24 * 3600
_DIVISOR = 1024  # clients ask about a file's first chunk, and about those whose hash is divisible by this
_MOST_XORBS = 8
_MOST_FILES = 16  # that are looked at for one chunk
_RECORD = 48
_FOOTER_BYTES = 200


def asked_about(file: ShardFile, tables: Mapping[bytes, Table]) -> Iterator[tuple[bytes, bytes]]:
    """(chunk, xorb) for each chunk of a file that clients may ask about."""
    is_first = True
    for term in file.terms:
        for digest, _, _ in tables[term.xorb_hash].rows(term.first, term.end):
            if is_first or int.from_bytes(digest[24:], "little") % _DIVISOR == 0:
                yield digest, term.xorb_hash
            is_first = False


async def answer(s: AsyncSession, repo_id: str, chunk_hash: str, *, sender: Sender, instant: datetime) -> bytes | None:
    """A shard about the xorbs around a chunk (by its printed hash) of a file that `sender` may build on, or None."""
    if hashes.parse_printed(chunk_hash) is None:
        return None
    held = await _holder(s, repo_id, chunk_hash, sender)
    if held is None:
        return None
    xorb, terms = held
    around = _around(xorb, [hashes.printed(run.xorb_hash) for run in unpack(terms)])
    allowed = await reach(s, repo_id, around, sender)
    rows = await s.execute(
        sa.select(col(StoredXorb.xorb_hash), col(StoredXorb.chunks)).where(
            col(StoredXorb.xorb_hash).in_([name for name in around if name in allowed])
        )
    )
    # The hash of a xorb of one chunk is that chunk's raw hash: such a xorb is never told about.
    xorbs = [(name, table) for name, chunks in rows if len(table := Table(chunks)) > 1]
    return keyed_shard(xorbs, allowed, key=secrets.token_bytes(32), instant=instant) if xorbs else None


def keyed_shard(xorbs: Iterable[tuple[str, Table]], allowed: Reach, *, key: bytes, instant: datetime) -> bytes:
    """A shard without files about `xorbs` (printed hash, table), their chunk hashes under `key`.

    Chunks that are not `allowed` count, so that the others keep their number, and show neither hash nor length.
    """
    made = bytearray(TAG + struct.pack("<QQ", VERSION, _FOOTER_BYTES) + END + bytes(16))
    stored_bytes = raw_bytes = 0
    described = sorted((hashes.parse_printed(name) or b"", name, table) for name, table in xorbs)
    for raw_name, name, table in described:
        rows = _shown(name, table, allowed, key)
        raw, size = sum(length for _, length, _ in rows), sum(stored for _, _, stored in rows)
        made += raw_name + struct.pack("<IIII", 0, len(rows), raw, size)
        at = 0
        for digest, length, _ in rows:
            made += digest + struct.pack("<IIII", at, length, 0, 0)
            at += length
        stored_bytes, raw_bytes = stored_bytes + size, raw_bytes + raw
    made += END + bytes(16)
    footer = len(made)
    made += struct.pack("<QQQ", 1, _RECORD, 2 * _RECORD) + struct.pack("<QQ", footer, 0) * 3 + key
    made_at = int(instant.timestamp())
    made += struct.pack("<QQ", made_at, made_at + ANSWER_SECONDS) + bytes(48)
    made += struct.pack("<QQQQ", stored_bytes, 0, raw_bytes, footer)
    return bytes(made)


async def _holder(s: AsyncSession, repo_id: str, chunk_hash: str, sender: Sender) -> tuple[str, bytes] | None:
    """The xorb that the chunk lies in, and the terms of a file with it: one of here, or one that `sender` may read."""
    holders = (
        sa.select(col(XetFile.repo_id), col(XetFile.sha256), col(XetFile.terms), col(XetChunk.xorb_hash))
        .join(
            XetChunk,
            sa.and_(col(XetFile.repo_id) == col(XetChunk.repo_id), col(XetFile.file_hash) == col(XetChunk.file_hash)),
        )
        .join(Repo, col(Repo.id) == col(XetFile.repo_id))
        .join(RepoObject, REFERRED_TO)
        .where(col(XetChunk.chunk_hash) == chunk_hash, col(XetFile.terms).is_not(None))
        .order_by(col(XetFile.registered_at), col(XetFile.repo_id))
        .limit(_MOST_FILES)
    )
    own = (await s.execute(holders.where(col(XetFile.repo_id) == repo_id))).first()
    if own is not None:
        return own.xorb_hash, own.terms
    elsewhere = sa.and_(col(XetFile.repo_id) != repo_id, sender.may_know)
    rows = (await s.execute(holders.where(elsewhere))).all()
    allowed = await sender.may_download(s, {(row.repo_id, row.sha256) for row in rows}) if rows else set()
    return next(((row.xorb_hash, row.terms) for row in rows if (row.repo_id, row.sha256) in allowed), None)


def _shown(name: str, table: Table, allowed: Reach, key: bytes) -> Sequence[tuple[bytes, int, int]]:
    """(hash under `key`, raw length, stored length) of each chunk, up to the last that may be named."""
    rows: list[tuple[bytes, int, int]] = []
    shown = before = 0
    for at, (digest, length, end) in enumerate(table.rows()):
        if allowed.covers(name, at, at + 1):
            rows.append((blake3(digest, key=key).digest(), length, end - before))
            shown = len(rows)
        else:
            rows.append((secrets.token_bytes(32), 1, HEADER_BYTES + 1))
        before = end
    return rows[:shown]


def _around(xorb: str, in_order: list[str]) -> list[str]:
    """The file's xorbs from `xorb` on, as far as one answer goes; those before it where there are no more."""
    distinct = list(dict.fromkeys(in_order))
    at = distinct.index(xorb) if xorb in distinct else 0
    start = max(0, min(at, len(distinct) - _MOST_XORBS))
    return distinct[start : start + _MOST_XORBS]
