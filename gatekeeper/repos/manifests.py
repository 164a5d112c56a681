"""The manifest of a commit: every file with its size and SHA-256. What was released, reviewed or loaded, by digest."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.kit.canonical import digest_of, sha256_hex
from gatekeeper.repos import listing
from gatekeeper.repos.listing import TreeEntry
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.tables import GitObject, Repo

_READ_BYTES = 16 * 2**20
_READ_FILES = 200

_digests: Lru[tuple[str, str], str] = Lru(200_000)
_manifests: "Lru[tuple[str, str], Manifest]" = Lru(200_000)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files as (path, size in bytes, SHA-256 of what a reader gets), by path.

    Compatibility: `sha256` is the digest of the canonical JSON of `files`; releases and receipts hold it, so the form
    never changes.
    """

    files: tuple[tuple[str, int, str], ...]
    sha256: str


async def manifest(s: AsyncSession, repo: Repo, commit: str) -> Manifest:
    """The manifest of `commit`; raises RevisionNotFound."""
    if (cached := _manifests.get((repo.id, commit))) is not None:
        return cached
    entries = await listing.tree(s, repo, commit, recursive=True)
    files = sorted((entry for entry in entries if entry.type == "file"), key=lambda entry: entry.path)
    await _read_digests(s, repo, files)
    rows = [(entry.path, entry.size, await _digest(s, repo, entry)) for entry in files]
    made = Manifest(tuple(rows), digest_of([list(row) for row in rows]))
    _manifests.put((repo.id, commit), made, len(rows) + 1)
    return made


async def _digest(s: AsyncSession, repo: Repo, entry: TreeEntry) -> str:
    if entry.lfs is not None:
        return entry.lfs.sha256
    if (known := _digests.get((repo.id, entry.oid))) is not None:
        return known
    return sha256_hex(await listing.read_blob(s, repo, entry.oid))  # the cache was too small for this commit


async def _read_digests(s: AsyncSession, repo: Repo, files: Sequence[TreeEntry]) -> None:
    """Hash the regular files that are not in the cache, a bounded number of bytes at a time."""
    wanted = {entry.oid: entry.size for entry in files if entry.lfs is None and not _digests.get((repo.id, entry.oid))}
    batch: list[str] = []
    batch_bytes = 0
    for oid, size in wanted.items():
        batch.append(oid)
        batch_bytes += size
        if batch_bytes >= _READ_BYTES or len(batch) >= _READ_FILES:
            await _hash(s, repo, batch)
            batch, batch_bytes = [], 0
    if batch:
        await _hash(s, repo, batch)


async def _hash(s: AsyncSession, repo: Repo, oids: Sequence[str]) -> None:
    query = sa.select(col(GitObject.object_id), col(GitObject.content)).where(
        col(GitObject.repo_id) == repo.id, col(GitObject.object_id).in_(oids)
    )
    contents = [(oid, content) for oid, content in await s.execute(query)]
    hashed = await asyncio.to_thread(lambda: [(oid, sha256_hex(content)) for oid, content in contents])
    for oid, sha256 in hashed:
        _digests.put((repo.id, oid), sha256)
