"""Reading incidents: for those who handle them, and what everybody may read of closed ones."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import NotFound
from gatekeeper.incidents.tables import Incident, IncidentLink, IncidentState, IncidentStep, Severity
from gatekeeper.kit.paging import Page, page_of
from gatekeeper.repos import Repo

WAITING = (IncidentState.REPORTED, IncidentState.OPEN)


@dataclass(frozen=True, slots=True)
class Published:
    """A closed incident, as everybody reads it."""

    closed_at: datetime
    severity: Severity
    note: str


async def get(session: AsyncSession, incident_id: str) -> Incident:
    """An incident by id. Raises NotFound."""
    found = await session.get(Incident, incident_id)
    if found is None:
        raise NotFound("There is no such incident.", next_step="Take it from the list of incidents.")
    return found


async def listing(
    session: AsyncSession,
    *,
    repos: sa.ColumnElement[bool] | None,
    states: Collection[IncidentState],
    after: str | None = None,
    limit: int = 50,
) -> Page[Incident]:
    """Incidents in some states, newest first.

    repos  a condition on Repo that the incident's must meet, each to be decided again; None: all, the hub's own too
    """
    query = sa.select(Incident).where(_in_care(repos), col(Incident.state).in_(states))
    if after is not None:
        query = query.where(col(Incident.id) < after)
    rows = list(await session.scalars(query.order_by(col(Incident.id).desc()).limit(limit + 1)))
    return page_of(rows, limit=limit, key=lambda incident: incident.id)


async def links_of(session: AsyncSession, incident: Incident) -> list[IncidentLink]:
    """What it is linked to, in the order in which that was said."""
    query = sa.select(IncidentLink).where(col(IncidentLink.incident_id) == incident.id)
    return list(await session.scalars(query.order_by(col(IncidentLink.id))))


async def timeline(session: AsyncSession, incident: Incident) -> Sequence[IncidentStep]:
    """What was done, oldest first."""
    query = sa.select(IncidentStep).where(col(IncidentStep.incident_id) == incident.id)
    return list(await session.scalars(query.order_by(col(IncidentStep.id))))


async def published(session: AsyncSession, repo: Repo, *, limit: int = 5) -> list[Published]:
    """The notes of closed incidents that a repository had a part in, newest first."""
    return [row for _, row in await published_at(session, col(Repo.id) == repo.id, limit=limit)]


async def published_at(
    session: AsyncSession, repos: sa.ColumnElement[bool], *, since: datetime | None = None, limit: int
) -> list[tuple[Repo, Published]]:
    """The same for every repository that meets a condition: an incident stands once with each of its repositories."""
    linked = sa.exists().where(
        col(IncidentLink.incident_id) == col(Incident.id), col(IncidentLink.repo_id) == col(Repo.id)
    )
    query = (
        sa.select(Repo, Incident)
        .join(Incident, sa.or_(col(Incident.repo_id) == col(Repo.id), linked))
        .where(repos, col(Incident.state) == IncidentState.CLOSED)
        .order_by(col(Incident.closed_at).desc(), col(Incident.id), col(Repo.key))
        .limit(limit)
    )
    if since is not None:
        query = query.where(col(Incident.closed_at) >= since)
    return [
        (repo, Published(found.closed_at, found.severity, found.public_note))
        for repo, found in await session.execute(query)
        if found.closed_at is not None
    ]


def _in_care(repos: sa.ColumnElement[bool] | None) -> sa.ColumnElement[bool]:
    if repos is None:
        return sa.true()
    return col(Incident.repo_id).in_(sa.select(col(Repo.id)).where(repos))
