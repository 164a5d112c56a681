"""Who may do what in discussions and pull requests, beyond what a route needs: for the doors that offer them."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, community
from gatekeeper.authz import Action, Resource
from gatekeeper.community import Discussion
from gatekeeper.community.diffs import MayRead
from gatekeeper.kit.clock import now
from gatekeeper.web.guard import Call

_MODERATING = (Action.WRITE, Action.MANAGE)


@dataclass(frozen=True)
class Part:
    """What the caller may change: a branch, or a pull request.

    may_write  they may change the repository itself
    pull       the pull request that was named; None for a branch, and for one that is to be opened
    """

    may_write: bool
    pull: Discussion | None


async def standing(call: Call, session: AsyncSession) -> Resource:
    """The facts about the repository, at no revision."""
    return await authz.load(session, call.principal, call.repo, instant=now())


async def is_moderator(call: Call, session: AsyncSession) -> bool:
    """Whether the caller may hide, rename and close what others wrote."""
    resource, instant, policies = await standing(call, session), now(), call.gatekeeper.policies
    return any(authz.decide(policies, call.principal, action, resource, instant) for action in _MODERATING)


async def moderates(call: Call, session: AsyncSession) -> bool:
    """Whether the caller is a moderator; who is none must be allowed to take part. Raises what that refusal raises."""
    if await is_moderator(call, session):
        return True
    resource = await standing(call, session)
    authz.require(call.gatekeeper.policies, call.principal, Action.DISCUSS_WRITE, resource, now())
    return False


async def require_moderator(call: Call, session: AsyncSession) -> None:
    """Decide that the caller is a moderator. Raises what the refusal of writing to the repository raises."""
    if not await is_moderator(call, session):
        authz.require(call.gatekeeper.policies, call.principal, Action.WRITE, await standing(call, session), now())


async def require_part(call: Call, session: AsyncSession, revision: str, *, opens: bool) -> Part:
    """Decide whether the caller may commit to `revision`: branches for those who may write, a pull request for its
    author too.

    opens  a pull request is to be opened for the branch `revision`: for whoever may send files
    """
    resource, instant, policies = await standing(call, session), now(), call.gatekeeper.policies
    may_write = bool(authz.decide(policies, call.principal, Action.WRITE, resource, instant))
    if opens:
        authz.require(policies, call.principal, Action.UPLOAD, resource, instant)
        return Part(may_write, None)
    if not revision.startswith(community.pulls.PREFIX):
        authz.require(policies, call.principal, Action.WRITE, resource, instant)
        return Part(may_write, None)
    pull = await community.pulls.of_ref(session, call.repo, revision)
    is_author = pull.author_id is not None and pull.author_id == call.principal.person_id
    if not may_write:
        needs = Action.UPLOAD if is_author else Action.WRITE
        authz.require(policies, call.principal, needs, resource, instant)
    return Part(may_write, pull)


async def start_of(call: Call, session: AsyncSession) -> str:
    """What main is for the caller: a pull request of theirs starts there."""
    resource, instant, policies = await standing(call, session), now(), call.gatekeeper.policies
    known = authz.require(policies, call.principal, Action.KNOW, resource, instant)
    may_write = authz.decide(policies, call.principal, Action.WRITE, resource, instant)
    if call.repo.is_staged and known.revision and known.revision.commit and not may_write:
        return known.revision.commit
    return await community.pulls.head_of(session, call.repo, "refs/heads/main")


async def reader_of(call: Call, session: AsyncSession, commit: str) -> tuple[bool, MayRead]:
    """Whether the caller may be told which files `commit` changes, and a function that says which of them they read."""
    instant, policies = now(), call.gatekeeper.policies
    resource = await authz.load(session, call.principal, call.repo, commit=commit, instant=instant)

    def may_read(path: str, is_lfs: bool) -> bool:
        action = authz.action_for_path(path, is_lfs=is_lfs)
        return bool(authz.decide(policies, call.principal, action, resource, instant))

    return bool(authz.decide(policies, call.principal, Action.LIST_FILES, resource, instant)), may_read
