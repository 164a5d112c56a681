"""Which commit a revision means for who names it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, repos
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Resource
from gatekeeper.authz.policies import Policies
from gatekeeper.repos import Repo

_DEFAULT_BRANCH = ("main", "refs/heads/main")


async def commit_of(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    repo: Repo,
    known: Resource,
    revision: str,
    instant: datetime,
) -> str:
    """The commit that `revision` means for `principal`; `known` are the facts about the repository at no revision.

    A revision may only be named by those who may know the repository, so that is decided first. In a staged repository
    `main` is the best release the caller may know; its writers see the branch as it is.
    """
    allowed = authz.require(policies, principal, Action.KNOW, known, instant)
    if repo.is_staged and revision in _DEFAULT_BRANCH and allowed.revision and allowed.revision.commit:
        may_write = authz.decide(policies, principal, Action.WRITE, known, instant)
        if not may_write:
            return allowed.revision.commit
    return await repos.resolve_revision(session, repo, revision)
