"""Who may push what: to everything who may write, and to their own open pull requests who may send files."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.community import Discussion, moderation, proposals, pulls
from gatekeeper.errors import NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.repos import GitRef, git, history, shadows
from gatekeeper.repos.git import Checked, Command, Push
from gatekeeper.web.guard import Call


def may_write(call: Call) -> bool:
    """Whether the caller may push to branches and tags, on the facts that the guard loaded."""
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.WRITE, call.resource, now()))


async def targets(call: Call, session: AsyncSession) -> Sequence[GitRef]:
    """The references that the caller may push to. Raises what the refusal of writing raises, where there are none."""
    found = await history.refs(session, call.repo)
    if may_write(call):
        return found
    own = await pulls.open_of(session, call.repo, by=call.principal)
    mine = [ref for ref in found if ref.name in own and await _is_seen(call, session, ref.object_id)]
    if not mine:
        authz.require(call.gatekeeper.policies, call.principal, Action.WRITE, call.resource, now())
    return mine


async def bring_large_files(call: Call, push: Push) -> None:
    """Let through the push of somebody who may not write: see `git.added_large_files`.

    The large files that it names, and that they sent to their shadow, are the repository's from then on.
    """
    gatekeeper, named = call.gatekeeper, set[str]()
    async with gatekeeper.db.read() as session:
        for command in push.commands:
            pull = await require_own(call, session, command)
            named |= await git.added_large_files(
                session,
                call.repo,
                push.unpacked,
                old=command.old or "",
                new=command.new or "",
                base=pull.base_commit,
            )
    async with gatekeeper.db.write() as session:
        await call.recheck(session)
        if named - await shadows.take(session, call.repo, named, by=call.principal):
            raise pulls.not_sent()


def size_of(push: Push, checked: Checked) -> int:
    """Bytes of what a push adds to the repository."""
    return sum(push.unpacked.objects[oid].size for oid in checked.objects)


async def require_allowed(call: Call, session: AsyncSession, push: Push, checked: Checked) -> None:
    """Decide about the push of somebody who may not write. Raises as `require_own`, and TooLarge."""
    for command in push.commands:
        await require_own(call, session, command)
    limit_bytes = call.gatekeeper.settings.proposal_max_bytes
    await proposals.require_room(session, size=size_of(push, checked), limit_bytes=limit_bytes, by=call.principal)


async def require_own(call: Call, session: AsyncSession, command: Command) -> Discussion:
    """The pull request of theirs that `command` adds to. Raises NotAllowed for all else, Conflict for a closed one."""
    refused = NotAllowed(
        f"{command.ref[:80]} is no open pull request of yours.",
        next_step="Without write access, push to the refs/pr/ of a pull request that you opened.",
    )
    if command.old is None or command.new is None or not command.ref.startswith(pulls.PREFIX):
        raise refused
    pull = await pulls.of_ref(session, call.repo, command.ref)
    is_author = pull.author_id is not None and pull.author_id == call.principal.person_id
    if not is_author or not await _is_seen(call, session, command.old):
        raise refused
    pulls.require_open(pull)
    moderation.require_voice(pull, moderates=False)
    return pull


async def _is_seen(call: Call, session: AsyncSession, commit: str) -> bool:
    resource = await authz.load(session, call.principal, call.repo, commit=commit, instant=now())
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, now()))
