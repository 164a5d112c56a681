"""What a closed pull request brought: large files that nothing else names go, once it has been closed for days.

The commits stay, and with them what the pull request shows. One that is opened again later has to send its files again
before it can be merged.
"""

import sys
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import jobs
from gatekeeper.accounts import ANONYMOUS
from gatekeeper.community.tables import PULL_REFS, Discussion, DiscussionEvent, EventKind, ProposedCommit, Status
from gatekeeper.db import Database
from gatekeeper.errors import Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.repos import catalogue, git, large_files, merging, refs
from gatekeeper.repos.tables import Repo, RepoObject

JOB = "community:discard"
KEPT_DAYS = 7  # as long as uploads that nobody commits


async def promise(s: AsyncSession, pull: Discussion) -> None:
    """Look again in days at a pull request that was closed just now."""
    await jobs.enqueue(s, JOB, {"pull": pull.id}, run_at=now() + timedelta(days=KEPT_DAYS))


async def handle(db: Database, payload: dict[str, Any]) -> None:
    """The handler of `JOB`. Raises Unavailable where the repository changed meanwhile; then it is tried again."""
    async with db.read() as s:
        found = await _closed(s, payload["pull"])
        if found is None:
            return
        repo, pull = found
        stand = await _stand(s, repo)
        gone = await _only_there(s, repo, pull)
    if not gone:
        return
    async with db.write() as s:
        found = await _closed(s, payload["pull"])
        # History was looked through without holding anybody up. All that could name a file since then shows here.
        if found is None or await _stand(s, found[0]) != stand:
            raise Unavailable("The repository changed meanwhile.", next_step="It is looked at again.")
        for start in range(0, len(gone), large_files.MAX_DELETIONS):
            some = gone[start : start + large_files.MAX_DELETIONS]
            await large_files.delete(s, found[0], some, rewrite_history=False, by=ANONYMOUS)


async def _closed(s: AsyncSession, pull_id: str) -> tuple[Repo, Discussion] | None:
    """The pull request and its repository, if it has been closed for long enough. Closed later, it has a later job."""
    pull = await s.get(Discussion, pull_id)
    repo = await catalogue.by_id(s, pull.repo_id) if pull is not None else None
    if pull is None or repo is None or pull.status is not Status.CLOSED:
        return None
    closed_at = await s.scalar(
        sa.select(sa.func.max(col(DiscussionEvent.created_at))).where(
            col(DiscussionEvent.discussion_id) == pull.id, col(DiscussionEvent.kind) == EventKind.STATUS
        )
    )
    return (repo, pull) if closed_at and closed_at <= now() - timedelta(days=KEPT_DAYS) else None


async def _only_there(s: AsyncSession, repo: Repo, pull: Discussion) -> list[str]:
    """SHA-256 of the large files that the pull request's commits hold, and no commit that anybody may still need."""
    graph = await git.load_graph(s, repo)
    rows = await s.execute(
        sa.select(col(ProposedCommit.commit_id), col(ProposedCommit.discussion_id), col(Discussion.status))
        .join(Discussion, col(Discussion.id) == col(ProposedCommit.discussion_id))
        .where(col(ProposedCommit.repo_id) == repo.id)
    )
    proposed = [(commit, discussion_id, status) for commit, discussion_id, status in rows if commit in graph]
    held = set[str]()
    for commit, discussion_id, _ in proposed:
        if discussion_id == pull.id:
            held |= await merging.large_files_of(s, repo, commit)
    if not held:
        return []
    closed_refs = await _closed_refs(s, repo)
    tips = [tip.commit for tip in await git.tips(s, repo) if tip.name not in closed_refs]
    given_up = {commit for commit, _, status in proposed if status is Status.CLOSED} - git.reach(graph, tips)
    others = [commit for commit in graph if commit not in given_up]
    kept = await git.find_lfs(s, repo, graph, others, sorted(held), most_folders=sys.maxsize)
    before = now() - timedelta(days=KEPT_DAYS)
    last_needed = sa.func.coalesce(col(RepoObject.renewed_at), col(RepoObject.uploaded_at))
    fresh = await s.scalars(
        sa.select(col(RepoObject.sha256)).where(col(RepoObject.repo_id) == repo.id, last_needed >= before)
    )
    return sorted(held - kept.keys() - set(fresh))


async def _closed_refs(s: AsyncSession, repo: Repo) -> set[str]:
    query = sa.select(col(Discussion.num)).where(
        col(Discussion.repo_id) == repo.id, col(Discussion.is_pull_request), col(Discussion.status) == Status.CLOSED
    )
    return {f"{PULL_REFS}{num}" for num in await s.scalars(query)}


async def _stand(s: AsyncSession, repo: Repo) -> tuple[object, ...]:
    """Differs as soon as a commit came to the repository or a reference was moved."""
    return repo.updated_at, *((ref.name, ref.object_id) for ref in await refs.listing(s, repo))
