"""What need not be sent: xorbs that an upload may name already, and files that another repository shares."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.kit.clock import now
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo, StoredXorb, XetChunk, XetFile, XetPart
from gatekeeper.repos.xet import hashes
from gatekeeper.repos.xet.reach import Sender, reach, sent_here
from gatekeeper.repos.xet.xorb import Table

_QUERY_ROWS = 500


async def was_sent(s: AsyncSession, repo_id: str, xorb_hash: str) -> bool:
    """Whether somebody sent this repository the xorb (by its printed hash)."""
    return hashes.parse_printed(xorb_hash) is not None and bool(await sent_here(s, repo_id, [xorb_hash]))


async def is_within_reach(s: AsyncSession, repo_id: str, xorb_hash: str, sender: Sender) -> bool:
    """Whether an upload to the repository may name every chunk of the xorb, so that it need not be sent."""
    if hashes.parse_printed(xorb_hash) is None:
        return False
    allowed = await reach(s, repo_id, [xorb_hash], sender)
    if xorb_hash not in allowed:
        return False
    chunks = await s.scalar(sa.select(col(StoredXorb.chunks)).where(col(StoredXorb.xorb_hash) == xorb_hash))
    return chunks is not None and allowed.covers(xorb_hash, 0, len(Table(chunks)))


async def share(s: AsyncSession, source: Repo, target: Repo, digests: Collection[str]) -> None:
    """Let files of `target` that it shares with `source` go down by Xet as they do there, and be found by their chunks.

    INVARIANT: called for digests that the target may refer to.
    """
    wanted = sorted(set(digests))
    for start in range(0, len(wanted), _QUERY_ROWS):
        some = wanted[start : start + _QUERY_ROWS]
        query = sa.select(XetFile).where(col(XetFile.repo_id) == source.id, col(XetFile.sha256).in_(some))
        files: list[XetFile] = [file for file in await s.scalars(query) if file.terms is not None]
        names = [file.file_hash for file in files]
        for file in files:
            row = file.model_dump(exclude={"repo_id", "registered_at"})
            await insert_missing(s, XetFile, [row | {"repo_id": target.id, "registered_at": now()}])
        for table in (XetPart, XetChunk):
            found = await s.scalars(
                sa.select(table).where(col(table.repo_id) == source.id, col(table.file_hash).in_(names))
            )
            await insert_missing(s, table, [row.model_dump() | {"repo_id": target.id} for row in found])
