"""Undo: who just decided takes it back within a minute, as an event of its own, unless it was used already."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.access import moves
from gatekeeper.access.grants import end_grant
from gatekeeper.access.tables import AccessGrant, AccessRequest, AccessStep, AccessVoice, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent

UNDO_WITHIN = timedelta(minutes=1)
_DECIDED = (moves.APPROVE.name, moves.REJECT.name)
_USES = ("repos:file:download", "repos:history:fetch", "generation:order:submit")
_INSTEAD = "Take the decision back on the request's page, which begins a new round of review."


async def undo(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """Take back what one decided less than a minute ago; the request waits as it did before, in the same round.

    Decision and undo both stay in the evidence; the applicant is told of neither. Raises NotAllowed for somebody
    else's decision, Conflict where anything came of it meanwhile.
    """
    if request.state not in moves.UNDO.sources:
        raise await moves.conflict(session, request, moves.UNDO)
    if by.person_id is None or request.decided_by != by.person_id:
        raise errors.NotAllowed("Only who decided can undo it.", next_step=_INSTEAD)
    at = now()
    until = undo_until(request, by, at=at)
    if until is None:
        raise errors.Conflict("A decision can be undone for a minute.", next_step=_INSTEAD)
    decided_at = until - UNDO_WITHIN
    if (came := await _what_came(session, request, decided_at)) is not None:
        raise errors.Conflict(came, next_step=_INSTEAD)
    fresh = await moves.step(
        session,
        request,
        moves.UNDO,
        by=by,
        at=at,
        values={
            "decided_at": None,
            "decided_by": None,
            "reason_code": "",
            "reapply_at": None,
            "approved_ends_at": None,
            "is_tester": False,
            "conditions": "",
            "conditions_accepted_at": None,
        },
    )
    await end_grant(session, request, at=at, reason="")
    await session.execute(
        sa.delete(AccessVoice).where(
            col(AccessVoice.request_id) == request.id,
            col(AccessVoice.round) == request.round,
            col(AccessVoice.kind) == "approval",
            col(AccessVoice.speaker) == by.person_id,
        )
    )
    return fresh


def undo_until(request: AccessRequest, by: Principal, *, at: datetime) -> datetime | None:
    """Until when this person may undo the decision; None where they may not. Whether it was used is asked by `undo`."""
    if request.state not in moves.UNDO.sources or by.person_id is None or request.decided_by != by.person_id:
        return None
    until = request.decided_at + UNDO_WITHIN if request.decided_at else None
    return until if until is not None and at < until else None


async def was_undone(session: AsyncSession, request_id: str, *, since: datetime) -> bool:
    """Whether a decision made at `since` was undone."""
    found = sa.select(col(AccessStep.id)).where(
        col(AccessStep.request_id) == request_id, col(AccessStep.act) == moves.UNDO.name, col(AccessStep.at) >= since
    )
    return await session.scalar(found.limit(1)) is not None


async def _what_came(session: AsyncSession, request: AccessRequest, decided_at: datetime) -> str | None:
    """What keeps the decision from being undone, in a sentence; None where nothing does."""
    last = await session.scalar(
        sa.select(AccessStep)
        .where(col(AccessStep.request_id) == request.id, col(AccessStep.act) != moves.ACTIVATE.name)
        .order_by(col(AccessStep.at).desc(), col(AccessStep.id).desc())
        .limit(1)
    )
    if last is None or last.act not in _DECIDED:
        return "Something happened to the request since it was decided."
    if last.before is not RequestState.IN_REVIEW:
        return "This turned an earlier decision around."
    replaced = sa.select(col(AccessGrant.id)).where(
        col(AccessGrant.repo_id) == request.repo_id,
        col(AccessGrant.person_id) == request.person_id,
        col(AccessGrant.request_id) != request.id,
        col(AccessGrant.revoked_at) >= decided_at,
    )
    if await session.scalar(replaced.limit(1)) is not None:
        return "The approval replaced access that was there before."
    used = sa.select(col(LedgerEvent.id)).where(
        col(LedgerEvent.repo_id) == request.repo_id,
        col(LedgerEvent.actor_id) == request.person_id,
        col(LedgerEvent.kind).in_(_USES),
        col(LedgerEvent.occurred_at) >= decided_at,
    )
    if await session.scalar(used.limit(1)) is not None:
        return "The applicant has used the access already."
    return None
