"""Reading the log, newest first."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.kit.ids import first_id_at
from gatekeeper.kit.paging import Page, page_of
from gatekeeper.ledger.kinds import KINDS
from gatekeeper.ledger.tables import LedgerEvent


async def events(
    session: AsyncSession,
    *,
    kind: str | None = None,
    actor: str | None = None,
    about: Collection[str] = (),
    repo: str | None = None,
    subject: str | None = None,
    number: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[LedgerEvent]:
    """A page of the log, sealed events and pending ones alike, newest first.

    since, until  from one instant on, to before another, by the time in the events' ids
    kind     a whole one, or the beginning of several: `access:req`
    about    ids: with `actor`, what was done to these as well as what the actor did
    subject  the id of an event, or of what events are about
    after    the `after` of the page before
    """
    query = sa.select(LedgerEvent).order_by(col(LedgerEvent.id).desc()).limit(limit + 1)
    if repo is not None:
        query = query.where(col(LedgerEvent.repo_id) == repo)
    if subject is not None:
        query = query.where(sa.or_(col(LedgerEvent.subject_id) == subject, col(LedgerEvent.id) == subject))
    if number is not None:
        query = query.where(col(LedgerEvent.number) == number)
    if kind is not None:
        column = col(LedgerEvent.kind)
        query = query.where(column == kind if kind in KINDS else column.startswith(kind, autoescape=True))
    if since is not None:
        query = query.where(col(LedgerEvent.id) >= first_id_at(since))
    if until is not None:
        query = query.where(col(LedgerEvent.id) < first_id_at(until))
    if after is not None:
        query = query.where(col(LedgerEvent.id) < after)
    # Each way has its index; the two in one condition would have none.
    ways = [] if actor is None else [query.where(col(LedgerEvent.actor_id) == actor)]
    if about:
        ways.append(query.where(col(LedgerEvent.subject_id).in_(about)))
    found = {event.id: event for way in ways or [query] for event in await session.scalars(way)}
    rows = [found[id] for id in sorted(found, reverse=True)[: limit + 1]]
    return page_of(rows, limit=limit, key=lambda event: event.id)


async def kinds_there(session: AsyncSession) -> list[str]:
    """Every kind of event that there is, in order: the index is asked for the next one each time, not read through."""
    kind = col(LedgerEvent.kind)
    found = sa.select(sa.func.min(kind).label("kind")).cte("kinds", recursive=True)
    later = sa.select(sa.func.min(kind)).where(kind > found.c.kind).scalar_subquery()
    found = found.union_all(sa.select(later).where(found.c.kind.is_not(None)))
    return list(await session.scalars(sa.select(found.c.kind).where(found.c.kind.is_not(None))))
