"""What a repository knows of files that came by Xet: written when a shard was found true."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import RepoNotFound, Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, lfs
from gatekeeper.repos.rows import affected, insert_missing
from gatekeeper.repos.tables import Repo, RepoXorb, StoredXorb, XetChunk, XetFile, XetPart
from gatekeeper.repos.xet import dedup, hashes
from gatekeeper.repos.xet.files import Run, pack
from gatekeeper.repos.xet.reach import Sender, reach
from gatekeeper.repos.xet.shard import ShardFile
from gatekeeper.repos.xet.xorb import Table


async def renew_xorb(s: AsyncSession, repo_id: str, xorb_hash: str) -> bool:
    """Keep a xorb that somebody is about to name here from being cleaned up; whether it is still there.

    The row of the stored xorb is changed even if this repository was never sent it: who removes xorbs compares that
    instant in the statement that removes, so the two cannot miss each other.
    """
    here = sa.update(RepoXorb).where(col(RepoXorb.repo_id) == repo_id, col(RepoXorb.xorb_hash) == xorb_hash)
    await s.execute(here.values(renewed_at=now()))
    stored = sa.update(StoredXorb).where(col(StoredXorb.xorb_hash) == xorb_hash)
    return affected(await s.execute(stored.values(renewed_at=now()))) == 1


async def register_files(
    s: AsyncSession,
    repo: Repo,
    files: Sequence[ShardFile],
    tables: Mapping[bytes, Table],
    *,
    sender: Sender,
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
    names = {hashes.printed(term.xorb_hash) for file in files for term in file.terms}
    for name in sorted(names):
        if not await renew_xorb(s, repo.id, name):
            raise cleaned()
    # Asked again: decoding takes a while, and a right to download elsewhere may have ended meanwhile.
    allowed = await reach(s, repo.id, names, sender)
    for term in (term for file in files for term in file.terms):
        if not allowed.covers(hashes.printed(term.xorb_hash), term.first, term.end):
            raise cleaned()
    for file in files:
        if file.sha256 not in rebuilt and not await lfs.has(s, still, file.sha256):
            raise cleaned()
        await lfs.possess(s, still, file.sha256, file.size, person_id=person_id)
        await _keep_terms(s, repo.id, file, tables)


async def _keep_terms(s: AsyncSession, repo_id: str, file: ShardFile, tables: Mapping[bytes, Table]) -> None:
    name = hashes.printed(file.file_hash)
    terms = pack(Run(term.xorb_hash, term.first, term.end, term.raw_bytes) for term in file.terms)
    row = {"repo_id": repo_id, "file_hash": name, "sha256": file.sha256, "size_bytes": file.size, "terms": terms}
    is_kept = await insert_missing(s, XetFile, [row | {"registered_at": now()}]) == 1
    if not is_kept:
        query = sa.update(XetFile).where(
            col(XetFile.repo_id) == repo_id, col(XetFile.file_hash) == name, col(XetFile.terms).is_(None)
        )
        is_kept = affected(await s.execute(query.values(terms=terms))) == 1
    if is_kept:
        xorbs = sorted({hashes.printed(term.xorb_hash) for term in file.terms})
        parts = [{"repo_id": repo_id, "file_hash": name, "xorb_hash": xorb} for xorb in xorbs]
        await insert_missing(s, XetPart, parts)
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


def cleaned() -> Unavailable:
    """What an upload is told that relied on something that is there no more."""
    return Unavailable(
        "What this upload refers to was cleaned up meanwhile.", next_step="Start it again: all will be sent."
    )
