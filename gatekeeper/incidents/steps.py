"""The one way to take a step about an incident: who may, from which state, and what is kept of it."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.incidents.tables import Incident, IncidentLink, IncidentState, IncidentStep

MOST_TEXT = 5_000
MOST_TITLE = 200

_SAYS = {
    IncidentState.REPORTED: "was not taken up yet",
    IncidentState.OPEN: "is open already",
    IncidentState.CLOSED: "is closed",
    IncidentState.DISMISSED: "was dismissed",
}


async def step(
    session: AsyncSession,
    incident: Incident,
    act: str,
    *,
    by: Principal | None,
    note: str = "",
    data: dict[str, Any] | None = None,
) -> IncidentStep:
    """Keep a step for its handlers, and its evidence without words.

    by    None for somebody without an account
    data  ids and digests: evidence holds them too
    """
    made = IncidentStep(
        incident_id=incident.id, act=act, actor_id=by.person_id if by else None, note=note, data=data or {}
    )
    session.add(made)
    await ledger.record(
        session,
        f"incidents:incident:{act}",
        actor=by.person_id if by else None,
        token=by.token_id if by else None,
        repo=incident.repo_id,
        subject=incident.id,
        body={"state": incident.state, **(data or {})},
    )
    await session.flush()  # links and jobs name it
    return made


async def move(
    session: AsyncSession,
    incident: Incident,
    *,
    by: Principal,
    sources: Collection[IncidentState],
    values: dict[str, Any],
) -> Incident:
    """Change an incident that is in one of these states; of two at once one wins. Raises Conflict, NotAllowed."""
    await not_concerned(session, incident, by)
    won = await session.scalar(
        sa.update(Incident)
        .where(col(Incident.id) == incident.id, col(Incident.state).in_(sources))
        .values(**values)
        .returning(col(Incident.id))
        .execution_options(synchronize_session=False)
    )
    fresh = await session.get_one(Incident, incident.id, populate_existing=True)
    if won is None:
        raise _conflict(fresh)
    return fresh


async def require_open(session: AsyncSession, incident: Incident, by: Principal) -> Incident:
    """The incident, locked, for an act that only an open one takes. Raises Conflict, NotAllowed."""
    fresh = await session.get_one(Incident, incident.id, populate_existing=True, with_for_update=True)
    if fresh.state is not IncidentState.OPEN:
        raise _conflict(fresh)
    await not_concerned(session, fresh, by)
    return fresh


async def not_concerned(session: AsyncSession, incident: Incident, by: Principal) -> None:
    """Raise NotAllowed for somebody whom the incident itself is about."""
    concerned = await session.scalar(
        sa.select(col(IncidentLink.id)).where(
            col(IncidentLink.incident_id) == incident.id, col(IncidentLink.person_id) == (by.person_id or "")
        )
    )
    if concerned is not None:
        raise errors.NotAllowed(
            "This incident is about you, so others handle it.",
            next_step="Ask another maintainer, or an administrator of this hub.",
        )


def checked(text: str, what: str, *, most: int = MOST_TEXT) -> str:
    """A text that must be there, trimmed. Raises Invalid."""
    text = text.strip()
    if not text or len(text) > most or "\0" in text:
        raise errors.Invalid(
            f"{what} takes 1 to {most:,} characters; these are {len(text):,}." if text else f"{what} is missing.",
            status=422,
            next_step="Fill in the field and send it again.",
        )
    return text


def _conflict(incident: Incident) -> errors.Conflict:
    return errors.Conflict(f"The incident {_SAYS[incident.state]}.", next_step="Reload its page to see what happened.")
