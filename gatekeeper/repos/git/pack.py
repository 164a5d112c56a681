"""Writing a pack: each object compressed by itself, in the order given, nothing held but the piece on its way."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Sequence

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.repos.tables import GitObject

_KINDS = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_QUERY_IDS = 400
_BATCH_BYTES = 8 * 2**20
_LEVEL = 1  # large content is in LFS; what is left compresses about as well, several times faster


async def pieces(db: Database, repo_id: str, oids: Sequence[bytes]) -> AsyncIterator[bytes]:
    """The pack of the objects `oids` (20 bytes each). Objects never change, so no snapshot is held while it is sent."""
    digest = hashlib.sha1(usedforsecurity=False)
    head = b"PACK" + (2).to_bytes(4, "big") + len(oids).to_bytes(4, "big")
    digest.update(head)
    yield head
    for start in range(0, len(oids), _QUERY_IDS):
        for some in await _batches(db, repo_id, [oid.hex() for oid in oids[start : start + _QUERY_IDS]]):
            piece = await asyncio.to_thread(_pack, await _contents(db, repo_id, some))
            digest.update(piece)
            yield piece
    yield digest.digest()


async def _batches(db: Database, repo_id: str, oids: list[str]) -> list[list[str]]:
    """`oids` in groups that fit into memory, in the same order."""
    query = sa.select(col(GitObject.object_id), sa.func.length(col(GitObject.content))).where(
        col(GitObject.repo_id) == repo_id, col(GitObject.object_id).in_(oids)
    )
    async with db.read() as s:
        sizes: dict[str, int] = {row[0]: row[1] for row in await s.execute(query)}
    batches: list[list[str]] = [[]]
    held = 0
    for oid in oids:
        held += sizes[oid]
        if held > _BATCH_BYTES and batches[-1]:
            batches.append([])
            held = sizes[oid]
        batches[-1].append(oid)
    return batches


async def _contents(db: Database, repo_id: str, oids: list[str]) -> list[tuple[str, bytes]]:
    query = sa.select(col(GitObject.object_id), col(GitObject.kind), col(GitObject.content)).where(
        col(GitObject.repo_id) == repo_id, col(GitObject.object_id).in_(oids)
    )
    async with db.read() as s:
        found = {oid: (kind, content) for oid, kind, content in await s.execute(query)}
    return [found[oid] for oid in oids]


def _pack(objects: list[tuple[str, bytes]]) -> bytes:
    return b"".join(_head(kind, len(content)) + zlib.compress(content, _LEVEL) for kind, content in objects)


def _head(kind: str, size: int) -> bytes:
    byte, size = (_KINDS[kind] << 4) | (size & 15), size >> 4
    made = bytearray()
    while size:
        made.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    made.append(byte)
    return bytes(made)
