"""Where the large files of an upload go, and who may send them there.

Who may write to a repository sends to it. Anybody else who may send files, for a pull request, has a shadow of it.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action
from gatekeeper.community import moderation, proposals, pulls
from gatekeeper.errors import RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, catalogue, shadows
from gatekeeper.web import parts
from gatekeeper.web.guard import Call
from gatekeeper.web.state import Gatekeeper

_MOST_AT_ONCE = 16  # largest files; what is put together of few bytes that were sent would fill the disk without an end


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many bytes a file may have, and all files that are sent together."""

    file_bytes: int
    all_bytes: int


async def require(call: Call, session: AsyncSession, revision: str | None, *, opens: bool = False) -> Repo | None:
    """Decide whether the caller may send files for a commit to `revision`; returns where, None for a shadow to be made.

    revision  None where a client does not say: then only what opens a pull request is certain
    opens     the commit will open a pull request
    """
    part = await parts.require_part(call, session, revision or "", opens=opens or revision is None)
    if not part.may_write and part.pull is not None:
        pulls.require_open(part.pull)
        moderation.require_voice(part.pull, moderates=False)
    return call.repo if part.may_write else await shadows.find(session, call.repo, by=call.principal)


async def find(call: Call, session: AsyncSession) -> Repo | None:
    """Where files are that the caller sent; None where that is nowhere."""
    resource, instant = await parts.standing(call, session), now()
    if authz.decide(call.gatekeeper.policies, call.principal, Action.WRITE, resource, instant):
        return call.repo
    return await shadows.find(session, call.repo, by=call.principal)


async def require_sender(
    gatekeeper: Gatekeeper,
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    *,
    size: int = 1,
    as_piece: bool = False,
) -> Allowance:
    """Decide whether `principal` may send `size` bytes to `repo` now, and to a shadow by what it is the shadow of.

    as_piece  they are not a file yet

    Raises what refuses, RepoNotFound for somebody else's shadow and for one of
    a repository that was deleted, TooLarge.
    """
    policies, settings, instant = gatekeeper.policies, gatekeeper.settings, now()
    shadow = await shadows.of(session, repo)
    target = repo if shadow is None else await catalogue.by_id(session, shadow.target_id)
    if target is None or (shadow is not None and shadow.person_id != principal.person_id):
        raise RepoNotFound("Repository not found.", next_step="It was deleted during the upload.")
    resource = await authz.load(session, principal, target, instant=instant)
    authz.require(policies, principal, Action.WRITE if shadow is None else Action.UPLOAD, resource, instant)
    if shadow is None:
        return Allowance(settings.upload_max_bytes, _MOST_AT_ONCE * settings.upload_max_bytes)
    room = await proposals.require_room(
        session, size=size, limit_bytes=settings.proposal_max_bytes, by=principal, as_piece=as_piece
    )
    return Allowance(min(room, settings.upload_max_bytes), room)
