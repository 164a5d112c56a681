"""Reading the log, newest first."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.kit.ids import first_id_at
from gatekeeper.kit.paging import Page, page_of
from gatekeeper.ledger.tables import LedgerEvent


async def events(
    session: AsyncSession,
    *,
    kind: str | None = None,
    actor: str | None = None,
    repo: str | None = None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[LedgerEvent]:
    """A page of the log, sealed events and pending ones alike, newest first.

    since, until  from one instant on, to before another, by the time in the events' ids
    kind   an exact kind, or the beginning of kinds when it ends in a colon, as in `access:request:`
    after  the `after` of the page before
    """
    query = sa.select(LedgerEvent).order_by(col(LedgerEvent.id).desc()).limit(limit + 1)
    for column, wanted in (
        (col(LedgerEvent.actor_id), actor),
        (col(LedgerEvent.repo_id), repo),
        (col(LedgerEvent.subject_id), subject),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if kind is not None:
        column = col(LedgerEvent.kind)
        query = query.where(column.startswith(kind, autoescape=True) if kind.endswith(":") else column == kind)
    if since is not None:
        query = query.where(col(LedgerEvent.id) >= first_id_at(since))
    if until is not None:
        query = query.where(col(LedgerEvent.id) < first_id_at(until))
    if after is not None:
        query = query.where(col(LedgerEvent.id) < after)
    rows = list(await session.scalars(query))
    return page_of(rows, limit=limit, key=lambda event: event.id)


async def kinds_there(session: AsyncSession) -> list[str]:
    """Every kind of event that there is, in order: the index is asked for the next one each time, not read through."""
    kind = col(LedgerEvent.kind)
    found = sa.select(sa.func.min(kind).label("kind")).cte("kinds", recursive=True)
    later = sa.select(sa.func.min(kind)).where(kind > found.c.kind).scalar_subquery()
    found = found.union_all(sa.select(later).where(found.c.kind.is_not(None)))
    return list(await session.scalars(sa.select(found.c.kind).where(found.c.kind.is_not(None))))
