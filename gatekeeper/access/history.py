"""What happened to a request, in order, for the people who may read it."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessRequest, AccessStep, AccessVoice
from gatekeeper.accounts.tables import Person

_MOST = 500


@dataclass(frozen=True, slots=True)
class Told:
    """A step with the name of who took it, "" for a rule or the operator."""

    step: AccessStep
    who: str


async def history(session: AsyncSession, request: AccessRequest, *, is_whole: bool) -> list[Told]:
    """The steps of a request, oldest first.

    is_whole  also what only reviewers read
    """
    query = (
        sa.select(AccessStep, col(Person.name))
        .outerjoin(Person, col(Person.id) == col(AccessStep.actor_id))
        .where(col(AccessStep.request_id) == request.id)
        .order_by(col(AccessStep.at), col(AccessStep.id))
        .limit(_MOST)
    )
    if not is_whole:
        query = query.where(col(AccessStep.is_shown))
    return [Told(step, name or "") for step, name in await session.execute(query)]


async def voices(session: AsyncSession, request: AccessRequest) -> list[tuple[AccessVoice, str]]:
    """Approvals and votes of the present round, each with the speaker's name."""
    rows = await session.execute(
        sa.select(AccessVoice, col(Person.name))
        .outerjoin(Person, col(Person.id) == col(AccessVoice.speaker))
        .where(col(AccessVoice.request_id) == request.id, col(AccessVoice.round) == request.round)
        .order_by(col(AccessVoice.at), col(AccessVoice.id))
        .limit(_MOST)
    )
    return [(voice, name or "operator") for voice, name in rows]
