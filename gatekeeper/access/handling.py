"""What a reviewer does before deciding: take it on, ask back, ask somebody else, vote, hand it on."""

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.access import blocks, decisions, moves
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import OPEN, AccessRequest, AccessVoice
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

Vote = Literal["yes", "no", "abstain"]
VOTES: tuple[Vote, ...] = ("yes", "no", "abstain")
_MOST_MARKED = 50


async def claim(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """Say that one looks after a request, so that others need not. Raises Conflict when somebody else does."""
    _not_applicant(request, by)
    if by.person_id is None:
        raise errors.Invalid("Only a person can take a request on.", next_step="Sign in as yourself.")
    if request.claimed_by not in (None, by.person_id):
        other = await session.get(Person, request.claimed_by)
        raise errors.Conflict(
            f"{other.name if other else 'Somebody'} looks after this request already.",
            next_step="Leave it to them, or release it first.",
        )
    return await moves.step(session, request, moves.CLAIM, by=by, at=now(), values={"claimed_by": by.person_id})


async def unclaim(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """Let go of a request, one's own or one that a colleague left lying. Raises Conflict when nobody has it."""
    _not_applicant(request, by)
    if request.claimed_by is None:
        raise errors.Conflict("Nobody looks after this request.", next_step="Reload the request.")
    return await moves.step(
        session,
        request,
        moves.UNCLAIM,
        by=by,
        at=now(),
        facts={"claimed_by": request.claimed_by},
        values={"claimed_by": None},
    )


async def route(
    session: AsyncSession, request: AccessRequest, queue: str, *, by: Principal, rules: Rules | None = None
) -> AccessRequest:
    """Put a request into another queue."""
    _not_applicant(request, by)
    name = (rules or Rules.load()).queue(queue).name
    return await moves.step(
        session, request, moves.ROUTE, by=by, at=now(), facts={"queue": name}, values={"queue": name}
    )


async def give_back(
    session: AsyncSession, request: AccessRequest, *, by: Principal, comment: str, marked: tuple[str, ...] = ()
) -> AccessRequest:
    """Return a request to the applicant, who changes the answers and sends it again.

    comment  what should be changed; the applicant reads it
    marked   the questions whose answers are meant
    """
    _not_applicant(request, by)
    comment = moves.checked_reason(comment, what="Returning a request")
    unknown = [name for name in marked if name not in request.fields]
    if unknown or len(marked) > _MOST_MARKED:
        raise errors.Invalid(
            "A marked question was not asked in this request.", next_step="Mark questions from the list."
        )
    return await moves.step(
        session,
        request,
        moves.RETURN,
        by=by,
        at=now(),
        reason=comment,
        facts={"marked": len(marked)},
        data={"marked": list(marked)},
    )


async def refer(
    session: AsyncSession, request: AccessRequest, to: Person, *, by: Principal, comment: str
) -> AccessRequest:
    """Ask a named person for their opinion; until they answer, or are not asked any more, nobody decides."""
    _not_applicant(request, by)
    comment = moves.checked_reason(comment, what="Asking for an opinion")
    if to.id in (request.person_id, by.person_id):
        raise errors.Invalid(
            "The person asked can be neither the applicant nor yourself.", next_step="Name somebody else."
        )
    if to.is_disabled:
        raise errors.Invalid("This account is disabled.", next_step="Name somebody else.")
    return await moves.step(
        session,
        request,
        moves.REFER,
        by=by,
        at=now(),
        reason=comment,
        facts={"referred_to": to.id},
        values={"referred_to": to.id},
        data={"referred_to": to.id},
    )


async def answer(
    session: AsyncSession, request: AccessRequest, *, by: Principal, opinion: str, has_conflict: bool = False
) -> AccessRequest:
    """Give the opinion that one was asked for, or say that one is not impartial. Only the person asked can."""
    if request.state in moves.ANSWER.sources and (by.person_id is None or by.person_id != request.referred_to):
        raise errors.NotAllowed(
            "Somebody else was asked for this opinion.", next_step="A reviewer can stop waiting for it."
        )
    opinion = moves.checked_words(opinion) if has_conflict else moves.checked_reason(opinion, what="An opinion")
    return await moves.step(
        session,
        request,
        moves.ANSWER,
        by=by,
        at=now(),
        reason=opinion,
        facts={"has_conflict": has_conflict},
        data={"has_conflict": has_conflict},
    )


async def recall(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """Wait no longer, for an opinion or for the applicant's changes: the request is in review again."""
    _not_applicant(request, by)
    return await moves.step(session, request, moves.RECALL, by=by, at=now())


async def vote(
    session: AsyncSession, request: AccessRequest, *, by: Principal, value: str, comment: str = ""
) -> AccessRequest:
    """Say how one would decide; colleagues see it, and a later vote of the same round replaces it."""
    _not_applicant(request, by)
    if by.person_id is None:
        raise errors.Invalid("Only a person can vote.", next_step="Sign in as yourself.")
    if value not in VOTES:
        raise errors.Invalid("A vote is yes, no or abstain.", next_step="Choose one of these.")
    comment = moves.checked_words(comment)
    at = now()
    fresh = await moves.step(
        session, request, moves.VOTE, by=by, at=at, facts={"value": value}, data={"value": value, "comment": comment}
    )
    mine = await session.scalar(
        sa.select(AccessVoice).where(
            col(AccessVoice.request_id) == request.id,
            col(AccessVoice.round) == fresh.round,
            col(AccessVoice.kind) == "vote",
            col(AccessVoice.speaker) == by.person_id,
        )
    )
    mine = mine or AccessVoice(request_id=request.id, round=fresh.round, kind="vote", speaker=by.person_id, value=value)
    key = await key_of(session, request.person_id)
    mine.value, mine.note, mine.at = value, key.words(comment), at
    session.add(mine)
    return fresh


async def delegate(
    session: AsyncSession, request: AccessRequest, to: Person, *, by: Principal, comment: str
) -> AccessRequest:
    """Hand a request on to another applicant, who looks at the answers, accepts the terms and sends it themselves."""
    _not_applicant(request, by)
    comment = moves.checked_reason(comment, what="Handing a request on")
    repo = await session.get_one(Repo, request.repo_id)
    if to.id in (request.person_id, by.person_id) or to.is_disabled:
        raise errors.Invalid(
            "The new applicant must be somebody else, with an account that works.", next_step="Name somebody else."
        )
    if await decisions.appealed_against(session, request) is not None:
        raise errors.Conflict("An appeal is about the person who was turned down.", next_step="Decide it.")
    if await blocks.is_blocked(session, to.id, repo):
        raise errors.Conflict(f"Requests of {to.name} are not taken here.", next_step="Name somebody else.")
    twin = await session.scalar(
        sa.select(col(AccessRequest.id)).where(
            col(AccessRequest.repo_id) == repo.id,
            col(AccessRequest.person_id) == to.id,
            col(AccessRequest.state).in_(OPEN),
        )
    )
    if twin is not None:
        raise errors.Conflict(f"{to.name} has an open request of their own.", next_step="Decide that one.")
    return await moves.step(
        session,
        request,
        moves.DELEGATE,
        by=by,
        at=now(),
        reason=comment,
        facts={"from_id": request.person_id, "to_id": to.id},
        values={"person_id": to.id, "predecessor_id": None},
        data={"from_id": request.person_id},
    )


def _not_applicant(request: AccessRequest, by: Principal) -> None:
    if by.person_id is not None and by.person_id == request.person_id:
        raise errors.NotAllowed(
            "Nobody handles their own request.", next_step="Ask another maintainer of the repository."
        )
