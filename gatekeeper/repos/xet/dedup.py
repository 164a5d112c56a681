"""Global deduplication: "does this repository hold this chunk?", asked by clients before they send it.

The answer is a shard that describes the xorbs around the chunk. Raw chunk hashes are what possession is proved by
(`hashes.range_hash`), so they are never handed out: every one in an answer is hashed again under a random key that
comes with it, by which a client recognizes the chunks it has and learns nothing about others.
Source: the public Xet specification, deduplication and shard format.
"""

import secrets
import struct
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import sqlalchemy as sa
from blake3 import blake3
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos.tables import XetChunk, XetFile, Xorb
from gatekeeper.repos.xet import hashes
from gatekeeper.repos.xet.files import unpack
from gatekeeper.repos.xet.shard import END, TAG, VERSION, ShardFile
from gatekeeper.repos.xet.xorb import Table

# Clients keep what an answer says until then. Xorbs live longer, and a new epoch makes answers void.
ANSWER_SECONDS = 24 * 3600
_DIVISOR = 1024  # clients ask about a file's first chunk, and about those whose hash is divisible by this
_MOST_XORBS = 8
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


async def answer(s: AsyncSession, repo_id: str, chunk_hash: str, *, instant: datetime) -> bytes | None:
    """A shard about the xorbs around a chunk (by its printed hash) of a registered file, or None."""
    if hashes.parse_printed(chunk_hash) is None:
        return None
    query = (
        sa.select(col(XetChunk.xorb_hash), col(XetFile.terms))
        .join(
            XetFile,
            sa.and_(col(XetFile.repo_id) == col(XetChunk.repo_id), col(XetFile.file_hash) == col(XetChunk.file_hash)),
        )
        .where(
            col(XetChunk.repo_id) == repo_id, col(XetChunk.chunk_hash) == chunk_hash, col(XetFile.terms).is_not(None)
        )
    )
    row = (await s.execute(query)).first()
    if row is None:
        return None
    around = _around(row.xorb_hash, [hashes.printed(run.xorb_hash) for run in unpack(row.terms)])
    rows = await s.execute(
        sa.select(col(Xorb.xorb_hash), col(Xorb.size_bytes), col(Xorb.chunks)).where(
            col(Xorb.repo_id) == repo_id, col(Xorb.xorb_hash).in_(around)
        )
    )
    # The hash of a xorb of one chunk is that chunk's raw hash: such a xorb is never told about.
    xorbs = [(name, size, table) for name, size, chunks in rows if len(table := Table(chunks)) > 1]
    return keyed_shard(xorbs, key=secrets.token_bytes(32), instant=instant) if xorbs else None


def keyed_shard(xorbs: Iterable[tuple[str, int, Table]], *, key: bytes, instant: datetime) -> bytes:
    """A shard without files about `xorbs` (printed hash, stored bytes, table), its chunk hashes under `key`."""
    made = bytearray(TAG + struct.pack("<QQ", VERSION, _FOOTER_BYTES) + END + bytes(16))
    stored_bytes = raw_bytes = 0
    described = sorted((hashes.parse_printed(name) or b"", size, table) for name, size, table in xorbs)
    for name, size, table in described:
        rows = list(table.rows())
        raw = sum(length for _, length, _ in rows)
        made += name + struct.pack("<IIII", 0, len(rows), raw, size)
        at = 0
        for digest, length, _ in rows:
            made += blake3(digest, key=key).digest() + struct.pack("<IIII", at, length, 0, 0)
            at += length
        stored_bytes, raw_bytes = stored_bytes + size, raw_bytes + raw
    made += END + bytes(16)
    footer = len(made)
    made += struct.pack("<QQQ", 1, _RECORD, 2 * _RECORD) + struct.pack("<QQ", footer, 0) * 3 + key
    made_at = int(instant.timestamp())
    made += struct.pack("<QQ", made_at, made_at + ANSWER_SECONDS) + bytes(48)
    made += struct.pack("<QQQQ", stored_bytes, 0, raw_bytes, footer)
    return bytes(made)


def _around(xorb: str, in_order: list[str]) -> list[str]:
    """The file's xorbs from `xorb` on, as far as one answer goes; those before it where there are no more."""
    distinct = list(dict.fromkeys(in_order))
    at = distinct.index(xorb) if xorb in distinct else 0
    start = max(0, min(at, len(distinct) - _MOST_XORBS))
    return distinct[start : start + _MOST_XORBS]
