"""From what a person types (a branch, a tag, a pull request, an id) to a commit, and from a commit to its past."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from dulwich.objects import Commit as GitCommit
from dulwich.objects import ShaFile
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import RevisionNotFound
from gatekeeper.repos import objects
from gatekeeper.repos.lru import Lru
from gatekeeper.repos.paths import is_lookup, is_oid, is_short_oid
from gatekeeper.repos.rows import Key
from gatekeeper.repos.tables import GitObject, GitRef, Repo

_COMMIT_TYPE = 1
_MAX_TAG_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as people read it. `title` is the first line of the message, `message` what follows it."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    title: str
    message: str
    author: str
    authored_at: datetime


_commits: Lru[tuple[str, str], Commit] = Lru(50_000)


async def resolve_revision(s: AsyncSession, repo: Repo, revision: str) -> str:
    """Id of the commit that `revision` names in this repository.

    Tried in order: a full commit id, a branch, a tag, a full reference (`refs/heads/x`, `refs/tags/x`, `refs/pr/1`),
    the first 7 or more digits of one commit id. Raises RevisionNotFound.
    """
    if is_oid(revision):
        if await find_commit(s, repo, revision) is not None:
            return revision
        raise unknown(revision)
    names = [revision] if revision.startswith("refs/") else [f"refs/heads/{revision}", f"refs/tags/{revision}"]
    for name in names:
        if (oid := await read_ref(s, repo, name)) is not None:
            return await peel(s, repo, oid)
    if is_short_oid(revision):
        query = (
            sa.select(col(GitObject.object_id))
            .where(
                col(GitObject.repo_id) == repo.id,
                col(GitObject.object_id) >= revision,
                col(GitObject.object_id) < revision + "g",  # after every hex digit
                col(GitObject.kind) == "commit",
            )
            .limit(2)
        )
        match (await s.scalars(query)).all():
            case [oid]:
                return oid
    raise unknown(revision)


async def read_ref(s: AsyncSession, repo: Repo, name: str) -> str | None:
    """The object a reference points at, or None."""
    if not is_lookup(name):
        return None
    query = sa.select(col(GitRef.object_id)).where(col(GitRef.repo_id) == repo.id, col(GitRef.name) == name)
    return await s.scalar(query)


async def find_commit(s: AsyncSession, repo: Repo, oid: str) -> Commit | None:
    """The repository's commit `oid`, or None."""
    if (cached := _commits.get((repo.id, oid))) is not None:
        return cached
    content = await objects.read(s, repo.id, oid, "commit")
    if content is None:
        return None
    made = parse(oid, content)
    _commits.put((repo.id, oid), made)
    return made


async def find_commits(s: AsyncSession, places: Iterable[Key]) -> dict[Key, Commit]:
    """Those of these commits, each of a repository, that are there."""
    found: dict[Key, Commit] = {}
    missing: list[Key] = []
    for place in places:
        if (cached := _commits.get(place)) is not None:
            found[place] = cached
        else:
            missing.append(place)
    for place, content in (await objects.read_many(s, missing, "commit")).items():
        found[place] = parse(place[1], content)
        _commits.put(place, found[place])
    return found


async def require_commit(s: AsyncSession, repo: Repo, oid: str) -> Commit:
    """The repository's commit `oid`; raises RevisionNotFound."""
    found = await find_commit(s, repo, oid)
    if found is None:
        raise unknown(oid)
    return found


async def commits(s: AsyncSession, repo: Repo, revision: str, *, limit: int = 50, offset: int = 0) -> list[Commit]:
    """The history of `revision`, newest first: `limit` commits after the first `offset`."""
    head = await require_commit(s, repo, await resolve_revision(s, repo, revision))
    # The second field of a row keeps a commit ahead of its parents when their clocks agree.
    seen, queue, order = {head.oid}, [(-head.authored_at.timestamp(), 0, head)], 0
    found: list[Commit] = []
    while queue and len(found) < offset + limit:
        _, _, commit = heapq.heappop(queue)
        found.append(commit)
        for parent in commit.parents:
            if parent not in seen and (ancestor := await find_commit(s, repo, parent)) is not None:
                seen.add(parent)
                order += 1
                heapq.heappush(queue, (-ancestor.authored_at.timestamp(), order, ancestor))
    return found[offset:]


async def peel(s: AsyncSession, repo: Repo, oid: str) -> str:
    """The commit behind an annotated tag; anything else is returned as it is."""
    for _ in range(_MAX_TAG_DEPTH):
        content = await objects.read(s, repo.id, oid, "tag")
        if content is None:
            return oid
        oid = content.split(b"\n", 1)[0].removeprefix(b"object ").decode()
    return oid


def parse(oid: str, content: bytes) -> Commit:
    """A commit object as people read it. Raises what a broken one makes its parser raise."""
    raw = ShaFile.from_raw_string(_COMMIT_TYPE, content)
    assert isinstance(raw, GitCommit)
    text = raw.message.decode("utf-8", "replace")
    title, _, rest = text.partition("\n")
    author = raw.author.decode("utf-8", "replace").partition(" <")[0]
    return Commit(
        oid=oid,
        tree=raw.tree.decode(),
        parents=tuple(parent.decode() for parent in raw.parents),
        title=title.strip(),
        message=rest.strip(),
        author=author,
        authored_at=datetime.fromtimestamp(raw.author_time, UTC),
    )


def unknown(revision: str) -> RevisionNotFound:
    """The one answer for a revision that is not there and for one that may not be known."""
    return RevisionNotFound(
        f"Invalid rev id: {revision[:80]}", next_step="Name a branch, a tag or a commit id of this repository."
    )
