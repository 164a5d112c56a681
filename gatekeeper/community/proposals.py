"""Which commits are proposals: what decisions need to know about commits that came through a pull request."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.community.tables import Discussion, DiscussionEvent, EventKind, ProposedCommit
from gatekeeper.errors import TooLarge
from gatekeeper.kit.clock import now
from gatekeeper.repos import AddFile, Operation, git, revisions, shadows
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo


@dataclass(frozen=True, slots=True)
class Proposed:
    """A commit that came through a pull request.

    base       the commit it is based on; its bytes are decided as those of that one
    author_id  whose work alone it is; None where others had a part in it
    """

    base: str
    author_id: str | None


async def find(s: AsyncSession, repo_id: str, commit: str) -> Proposed | None:
    """What a commit proposes, None for one that came otherwise."""
    row = await s.get(ProposedCommit, (repo_id, commit))
    return None if row is None else Proposed(row.base_commit, row.author_id)


async def all_of(s: AsyncSession, repo_id: str) -> dict[str, Proposed]:
    """Every proposal of a repository, by commit."""
    query = sa.select(
        col(ProposedCommit.commit_id), col(ProposedCommit.base_commit), col(ProposedCommit.author_id)
    ).where(col(ProposedCommit.repo_id) == repo_id)
    return {commit: Proposed(base, author_id) for commit, base, author_id in await s.execute(query)}


async def note(
    s: AsyncSession, repo: Repo, pull: Discussion, commits: Iterable[str], *, by: Principal, on: str, is_whole: bool
) -> None:
    """Remember that these commits came through a pull request.

    on        what its head was before
    is_whole  the pull request's head was `on`, and nothing but these commits was put on top of it
    """
    before = await find(s, repo.id, on)
    is_authors = is_whole and by.person_id == pull.author_id and pull.author_id is not None
    was_authors = on == pull.base_commit or (before is not None and before.author_id == pull.author_id)
    author_id = pull.author_id if is_authors and was_authors else None
    for commit in commits:
        row = ProposedCommit(
            repo_id=repo.id,
            commit_id=commit,
            discussion_id=pull.id,
            base_commit=pull.base_commit,
            author_id=author_id,
        )
        await insert_missing(s, ProposedCommit, [row.model_dump()])


def size_of(operations: Iterable[Operation]) -> int:
    """Bytes of the small files in a commit; large ones were counted when they were sent."""
    return sum(len(operation.content) for operation in operations if isinstance(operation, AddFile))


async def require_room(s: AsyncSession, *, size: int, limit_bytes: int, by: Principal, as_piece: bool = False) -> int:
    """How many bytes a person may still send to repositories that they may not write to.

    size      of what they are about to send
    as_piece  it is no file yet, as in `shadows.sent_bytes`

    Small files count as they were committed, large ones as they were sent. Raises TooLarge where there is no room.
    """
    since = now() - timedelta(days=shadows.COUNTED_DAYS)
    events = await s.scalars(
        sa.select(col(DiscussionEvent.data)).where(
            col(DiscussionEvent.author_id) == by.person_id,
            col(DiscussionEvent.created_at) >= since,
            col(DiscussionEvent.kind) == EventKind.COMMIT,
        )
    )
    committed: int = sum(data.get("bytes", 0) for data in events)
    left = limit_bytes - committed - await shadows.sent_bytes(s, by.person_id, as_piece=as_piece)
    if left < size:
        raise TooLarge(
            f"In {shadows.COUNTED_DAYS} days, you may send at most {limit_bytes:,} bytes to repositories that you may "
            "not write to.",
            next_step="Wait some days, or ask the repository's owners for write access.",
        )
    return left


async def adopt(s: AsyncSession, repo: Repo, ref: str) -> None:
    """A writer has put a branch or a tag somewhere: what it leads to is no mere proposal any more."""
    known = await all_of(s, repo.id)
    if known:
        commit = await revisions.resolve_revision(s, repo, ref)
        await _forget(s, repo, git.reach(await git.load_graph(s, repo), [commit]) & known.keys())


async def rename(s: AsyncSession, repo: Repo, renamed: Mapping[str, str]) -> None:
    """Commits were rewritten: those made of proposals are proposals too."""
    for commit, proposed in (await all_of(s, repo.id)).items():
        if commit in renamed or proposed.base in renamed:
            row = await s.get(ProposedCommit, (repo.id, commit))
            assert row is not None
            values = row.model_dump() | {
                "commit_id": renamed.get(commit, commit),
                "base_commit": renamed.get(proposed.base, proposed.base),
            }
            await insert_missing(s, ProposedCommit, [values])
    pulls = sa.select(Discussion).where(col(Discussion.repo_id) == repo.id, col(Discussion.is_pull_request))
    for pull in await s.scalars(pulls):
        pull.base_commit = renamed.get(pull.base_commit, pull.base_commit)
        s.add(pull)


async def _forget(s: AsyncSession, repo: Repo, commits: Collection[str]) -> None:
    for commit in commits:
        here = sa.and_(col(ProposedCommit.repo_id) == repo.id, col(ProposedCommit.commit_id) == commit)
        await s.execute(sa.delete(ProposedCommit).where(here))
