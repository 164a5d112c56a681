"""What a repository knows of files that came by Xet: written when a shard was found true."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import RepoNotFound, Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, lfs
from gatekeeper.repos.rows import affected, insert_missing
from gatekeeper.repos.tables import Repo, XetChunk, XetFile, Xorb
from gatekeeper.repos.xet import dedup, hashes
from gatekeeper.repos.xet.files import Run, pack
from gatekeeper.repos.xet.shard import ShardFile
from gatekeeper.repos.xet.xorb import Table


async def has_xorb(s: AsyncSession, repo_id: str, xorb_hash: str) -> bool:
    """Whether this repository has the xorb (by its printed hash)."""
    if hashes.parse_printed(xorb_hash) is None:
        return False
    query = sa.select(col(Xorb.xorb_hash)).where(col(Xorb.repo_id) == repo_id, col(Xorb.xorb_hash) == xorb_hash)
    return await s.scalar(query) is not None


async def renew_xorb(s: AsyncSession, repo_id: str, xorb_hash: str) -> bool:
    """Keep a xorb that somebody is about to name from being cleaned up; whether it is still there."""
    query = sa.update(Xorb).where(col(Xorb.repo_id) == repo_id, col(Xorb.xorb_hash) == xorb_hash)
    return affected(await s.execute(query.values(renewed_at=now()))) == 1


async def register_files(
    s: AsyncSession,
    repo: Repo,
    files: Sequence[ShardFile],
    tables: Mapping[bytes, Table],
    *,
    rebuilt: Collection[str],
    person_id: str | None,
) -> None:
    """Let the repository refer to the files of a shard that was checked against `tables`.

    rebuilt  digests of the files that were put into the store just now; the others must be there still

    Raises RepoNotFound, and Unavailable where something was cleaned up since the check.
    """
    still = await catalogue.by_id(s, repo.id)
    if still is None:
        raise RepoNotFound("Repository not found", next_step="It was deleted during the upload.")
    for name in {hashes.printed(term.xorb_hash) for file in files for term in file.terms}:
        if not await renew_xorb(s, repo.id, name):
            raise _cleaned()
    for file in files:
        if file.sha256 not in rebuilt and not await lfs.has(s, still, file.sha256):
            raise _cleaned()
        await lfs.possess(s, still, file.sha256, file.size, person_id=person_id)
        await _keep_terms(s, repo.id, file, tables)


async def _keep_terms(s: AsyncSession, repo_id: str, file: ShardFile, tables: Mapping[bytes, Table]) -> None:
    name = hashes.printed(file.file_hash)
    terms = pack(Run(term.xorb_hash, term.first, term.end, term.raw_bytes) for term in file.terms)
    row = {"repo_id": repo_id, "file_hash": name, "sha256": file.sha256, "size_bytes": file.size, "terms": terms}
    if await insert_missing(s, XetFile, [row | {"registered_at": now()}]) == 0:
        query = sa.update(XetFile).where(
            col(XetFile.repo_id) == repo_id, col(XetFile.file_hash) == name, col(XetFile.terms).is_(None)
        )
        await s.execute(query.values(terms=terms))
    chunks = {
        hashes.printed(chunk): {
            "repo_id": repo_id,
            "chunk_hash": hashes.printed(chunk),
            "xorb_hash": hashes.printed(xorb),
            "file_hash": name,
        }
        for chunk, xorb in dedup.asked_about(file, tables)
    }
    await insert_missing(s, XetChunk, list(chunks.values()))


def _cleaned() -> Unavailable:
    return Unavailable(
        "What this upload refers to was cleaned up meanwhile.", next_step="Start it again: all will be sent."
    )
