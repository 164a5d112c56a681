"""The last word about a person and a repository, whichever of their requests it was said about."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access import moves
from gatekeeper.access.tables import AccessRequest, AccessStep, RequestState

_AGAINST = frozenset({moves.REJECT.name, moves.REVOKE.name, moves.SUSPEND.name})
_APPEALED = frozenset({moves.REJECT.name, moves.REVOKE.name})
_FOR = frozenset({moves.APPROVE.name, moves.RESUME.name})
_DECIDING = _AGAINST | _FOR | {moves.CANCEL.name, moves.UNDO.name}
_GRANT = "grant"


class Decision(NamedTuple):
    """A step that decided, and its request as it stands now."""

    step: AccessStep
    request: AccessRequest

    @property
    def is_against(self) -> bool:
        """Whether the person was turned down, put out, or suspended by it."""
        return self.step.act in _AGAINST


async def last_decision(session: AsyncSession, person_id: str, repo_id: str) -> Decision | None:
    """What was decided last about this person here; withdrawing, closing or asking anew changes nothing about it."""
    found = await _decisions(session, person_id, repo_id)
    return found[-1] if found else None


async def needs_reviewer(session: AsyncSession, request: AccessRequest) -> bool:
    """Whether no rule approves this request: it was appealed, or what was decided last went against the person, was
    taken back, or set conditions."""
    last = await last_decision(session, request.person_id, request.repo_id)
    return request.appealed_at is not None or (
        last is not None and (last.is_against or last.step.act == moves.CANCEL.name or bool(last.request.conditions))
    )


async def appealed_against(session: AsyncSession, request: AccessRequest) -> AccessStep | None:
    """The decision that a request's appeal is about, as long as nobody has decided about the appeal."""
    if request.appealed_at is None or request.state not in moves.ACCEPT_REJECTION.sources:
        return None
    about_all = await _decisions(session, request.person_id, request.repo_id)
    last = next((each.step for each in reversed(about_all) if each.request.id == request.id), None)
    return last if last is not None and last.act in _APPEALED else None


async def _decisions(session: AsyncSession, person_id: str, repo_id: str) -> list[Decision]:
    """Oldest first, without those that were undone."""
    rows = await session.execute(
        sa.select(AccessStep, AccessRequest)
        .join(AccessRequest, col(AccessRequest.id) == col(AccessStep.request_id))
        .where(
            col(AccessRequest.person_id) == person_id,
            col(AccessRequest.repo_id) == repo_id,
            sa.or_(
                col(AccessStep.act).in_(_DECIDING),
                sa.and_(col(AccessStep.act) == _GRANT, col(AccessStep.after) == RequestState.ACTIVE),
            ),
        )
        .order_by(col(AccessStep.at), col(AccessStep.id))
    )
    found: list[Decision] = []
    for step, request in rows:
        if step.act == moves.UNDO.name:
            found.remove(next(each for each in reversed(found) if each.request is request))
        else:
            found.append(Decision(step, request))
    return found
