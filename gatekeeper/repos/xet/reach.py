"""Whose chunks an upload may name: what was sent to its repository, and files that its sender may download.

Xorbs are stored once for all repositories, so "the store has it" says nothing about who may refer to it. A xorb that
somebody sent to this repository may be named whole. Of any other, only those chunks may be named that belong to a file
of this repository, or to one that the sender may download from elsewhere at this moment.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos.tables import Repo, RepoObject, RepoXorb, XetFile, XetPart
from gatekeeper.repos.xet import hashes
from gatekeeper.repos.xet.files import REFERRED_TO, unpack

_QUERY_ROWS = 500
_MOST_FILES = 16  # of other repositories, that are looked at for one xorb

FileOf = tuple[str, str]  # repository id and SHA-256
Chunks = tuple[int, int]  # the first, and the one after the last


@dataclass(frozen=True, slots=True)
class Sender:
    """Whoever uploads, as far as files of other repositories go.

    may_know      condition on `Repo` that every repository meets which they may know
    may_download  those of some files that they may download now, each decided by itself
    """

    may_know: sa.ColumnElement[bool]
    may_download: Callable[[AsyncSession, Collection[FileOf]], Awaitable[set[FileOf]]]


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be named, by the printed hash of the xorb: `sent` ones whole, `parts` of others."""

    sent: frozenset[str] = frozenset()
    parts: Mapping[str, tuple[Chunks, ...]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.sent or name in self.parts

    def covers(self, name: str, first: int, end: int) -> bool:
        """Whether the chunks of the xorb from `first` up to, not including, `end` may be named."""
        return name in self.sent or any(low <= first and end <= high for low, high in self.parts.get(name, ()))


async def reach(s: AsyncSession, repo_id: str, names: Collection[str], sender: Sender) -> Reach:
    """What an upload to the repository by `sender` may name of the xorbs `names` (printed hashes)."""
    sent = await sent_here(s, repo_id, names)
    rows: list[tuple[str, FileOf, tuple[Chunks, ...]]] = []
    for name in sorted(set(names) - sent):
        rows += [(name, file, chunks) for file, chunks in await _files_of(s, repo_id, name, sender)]
    foreign = {file for _, file, _ in rows if file[0] != repo_id}
    open_files = await sender.may_download(s, foreign) if foreign else set()
    parts: dict[str, list[Chunks]] = {}
    for name, file, chunks in rows:
        if file[0] == repo_id or file in open_files:
            parts.setdefault(name, []).extend(chunks)
    return Reach(frozenset(sent), {name: joined(chunks) for name, chunks in parts.items()})


async def sent_here(s: AsyncSession, repo_id: str, names: Collection[str]) -> set[str]:
    """Those of the xorbs that somebody sent to this repository."""
    found: set[str] = set()
    wanted = sorted(set(names))
    for start in range(0, len(wanted), _QUERY_ROWS):
        some = col(RepoXorb.xorb_hash).in_(wanted[start : start + _QUERY_ROWS])
        found.update(await s.scalars(sa.select(col(RepoXorb.xorb_hash)).where(col(RepoXorb.repo_id) == repo_id, some)))
    return found


def joined(chunks: Sequence[Chunks]) -> tuple[Chunks, ...]:
    """The same chunks in as few runs as possible, ascending."""
    made: list[Chunks] = []
    for first, end in sorted(chunks):
        if made and first <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((first, end))
    return tuple(made)


async def _files_of(
    s: AsyncSession, repo_id: str, name: str, sender: Sender
) -> list[tuple[FileOf, tuple[Chunks, ...]]]:
    """Files that are made of chunks of the xorb, with those chunks: of this repository, then of some others."""
    made_of = (
        sa.select(col(XetFile.repo_id), col(XetFile.sha256), col(XetFile.terms))
        .join(
            XetPart,
            sa.and_(col(XetPart.repo_id) == col(XetFile.repo_id), col(XetPart.file_hash) == col(XetFile.file_hash)),
        )
        .join(Repo, col(Repo.id) == col(XetFile.repo_id))
        .join(RepoObject, REFERRED_TO)
        .where(col(XetPart.xorb_hash) == name, col(XetFile.terms).is_not(None))
        .order_by(col(XetFile.registered_at), col(XetFile.repo_id), col(XetFile.file_hash))
        .limit(_MOST_FILES)
    )
    raw = hashes.parse_printed(name)
    found = []
    for where in (col(XetFile.repo_id) == repo_id, sa.and_(col(XetFile.repo_id) != repo_id, sender.may_know)):
        for row in (await s.execute(made_of.where(where))).all():
            chunks = tuple((run.first, run.end) for run in unpack(row.terms) if run.xorb_hash == raw)
            found.append(((row.repo_id, row.sha256), chunks))
    return found
