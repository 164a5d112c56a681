"""Rewriting a repository's history around its releases: a released commit stays as it is."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.releases.rows import take_note
from gatekeeper.releases.tables import Proposal, ProposalState, Release, Stage
from gatekeeper.repos import history, large_files, rewriting
from gatekeeper.repos.tables import Repo

_MAIN = "refs/heads/main"


async def squash(session: AsyncSession, repo: Repo, branch: str, *, message: str, by: Principal) -> str:
    """Leave one commit on a branch; returns its id. Raises Conflict if a release would lose its place in history."""
    fixed = await _fixed(session, repo)
    _refuse(fixed, await rewriting.lost_by_squash(session, repo, branch))
    made = await rewriting.squash(session, repo, branch, message=message, by=by)
    await take_note(session, repo, made, branch=branch.removeprefix("refs/heads/"), by=by)
    return made


async def delete_files(
    session: AsyncSession, repo: Repo, digests: Collection[str], *, rewrite_history: bool, by: Principal
) -> dict[str, str]:
    """Delete LFS files for good; returns the new id of each commit that was rewritten.

    Raises Conflict if a release holds one, or lies above a commit that does.
    """
    fixed = await _fixed(session, repo)
    _refuse(fixed, await rewriting.holding(session, repo, digests, fixed))
    renamed = await large_files.delete(session, repo, digests, rewrite_history=rewrite_history, by=by)
    _refuse(fixed, renamed)  # the caller's transaction is rolled back
    if renamed:
        head = await history.resolve_revision(session, repo, _MAIN)
        if head in renamed.values():
            await take_note(session, repo, head, branch="main", by=by)
    return renamed


async def require_kept(session: AsyncSession, repo: Repo, lost: Collection[str]) -> None:
    """Raise Conflict if one of the commits `lost`, to which no reference will lead any more, is a release."""
    if lost:
        _refuse(await _fixed(session, repo), lost)


async def _fixed(session: AsyncSession, repo: Repo) -> dict[str, Release]:
    """Releases by commit. A draft that was never proposed is no release yet: nobody was shown it."""
    proposed = (
        sa.exists()
        .where(
            col(Proposal.release_id) == col(Release.id),
            col(Proposal.state).in_([ProposalState.OPEN, ProposalState.EFFECTIVE]),
        )
        .correlate(Release)
    )
    query = sa.select(Release).where(
        col(Release.repo_id) == repo.id,
        sa.or_(
            col(Release.stage) != Stage.DRAFT,
            col(Release.held_at).is_not(None),
            col(Release.withdrawn_at).is_not(None),
            proposed,
        ),
    )
    return {release.commit_id: release for release in await session.scalars(query)}


def _refuse(fixed: dict[str, Release], commits: Collection[str]) -> None:
    for commit, release in fixed.items():
        if commit in commits:
            raise errors.Conflict(
                f"Commit {commit[:12]} is release {release.id} (stage {release.stage}) and cannot be rewritten",
                next_step="People accepted its terms and hold receipts that name it. Work on another branch or file.",
                details={"release": release.id, "commit": commit},
            )
