"""Registered Xet files: what each is made of, and whether it lies in a commit.

A file's hash is public (listings show it) and so gives nothing by itself: `in_commit` finds a file only at the paths of
one commit, which is what a decision can be asked about.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos import listing
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.tables import Repo, RepoObject, XetFile

_ROW = struct.Struct("<32sIII")
_QUERY_ROWS = 500
_MAX_CACHED_PATHS = 200_000
REFERRED_TO = sa.and_(col(RepoObject.repo_id) == col(XetFile.repo_id), col(RepoObject.sha256) == col(XetFile.sha256))

Places = dict[str, tuple[str, ...]]

# A commit never changes, so neither does this. Nobody reaches it but through a commit that was decided about.
_places: Lru[tuple[str, str], Places] = Lru(_MAX_CACHED_PATHS)


@dataclass(frozen=True, slots=True)
class Run:
    """Chunks of a xorb from `first` up to, not including, `end`, which have `raw_bytes` together."""

    xorb_hash: bytes
    first: int
    end: int
    raw_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """A registered file and the paths at which it lies in the commit it was looked for in."""

    file_hash: str
    sha256: str
    size: int
    runs: tuple[Run, ...]
    paths: tuple[str, ...]


def pack(runs: Iterable[Run]) -> bytes:
    """The form in which a file's runs are stored."""
    return b"".join(_ROW.pack(run.xorb_hash, run.first, run.end, run.raw_bytes) for run in runs)


def unpack(packed: bytes) -> tuple[Run, ...]:
    """The runs of a stored file."""
    return tuple(Run(*row) for row in _ROW.iter_unpack(packed))


async def hashes_of(s: AsyncSession, repo_id: str, digests: Iterable[str]) -> dict[str, str]:
    """By SHA-256, the Xet hash of those files that came to this repository through Xet and can be given that way."""
    wanted = sorted(set(digests))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _QUERY_ROWS):
        query = (
            sa.select(col(XetFile.sha256), col(XetFile.file_hash))
            .join(RepoObject, REFERRED_TO)
            .where(
                col(XetFile.terms).is_not(None),
                col(XetFile.repo_id) == repo_id,
                col(XetFile.sha256).in_(wanted[start : start + _QUERY_ROWS]),
            )
            .order_by(col(XetFile.registered_at).desc(), col(XetFile.file_hash).desc())
        )
        # Cut differently, one content has several hashes; the one registered first stays the answer.
        found.update((row.sha256, row.file_hash) for row in await s.execute(query))
    return found


async def in_commit(s: AsyncSession, repo: Repo, commit: str, file_hash: str) -> Found | None:
    """The file with this (printed) hash if it lies in `commit`, else None, whatever else the repository holds."""
    query = sa.select(XetFile).join(RepoObject, REFERRED_TO)
    file: XetFile | None = await s.scalar(
        query.where(col(XetFile.repo_id) == repo.id, col(XetFile.file_hash) == file_hash)
    )
    if file is None or file.terms is None:
        return None
    paths = (await places_in(s, repo, commit)).get(file.sha256, ())
    return Found(file.file_hash, file.sha256, file.size_bytes, unpack(file.terms), paths) if paths else None


async def places_in(s: AsyncSession, repo: Repo, commit: str) -> Places:
    """The paths of each large file in a commit, by SHA-256. Asked after a decision about that commit."""
    if (known := _places.get((repo.id, commit))) is not None:
        return known
    made: dict[str, list[str]] = {}
    for entry in await listing.tree(s, repo, commit, recursive=True):
        if entry.lfs is not None:
            made.setdefault(entry.lfs.sha256, []).append(entry.path)
    places = {sha256: tuple(paths) for sha256, paths in made.items()}
    _places.put((repo.id, commit), places, sum(map(len, places.values())) + 1)
    return places
