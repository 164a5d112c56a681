"""Handing out the ledger's events: to webhooks that watch, and to people who should know.

The sealed log is read in its order, once; what an event leads to is kept in the transaction that moves on to the next.
"""

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.ledger import LedgerEvent
from gatekeeper.notices import accounts, audience
from gatekeeper.notices.courier import Judge
from gatekeeper.notices.events import subject_key, told
from gatekeeper.notices.tables import NoticeCursor, Webhook, WebhookDelivery, WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos.names import key_of
from gatekeeper.repos.tables import Repo, RepoRedirect

_BATCH = 100
_DOWNLOAD = "repos:file:download"
_SOURCES = ("repos", "releases", "access", "community", "licensing")

_log = structlog.get_logger("gatekeeper.notices")


async def hand_out(database: Database, judge: Judge) -> int:
    """Hand out what was sealed since the last time; returns how many events that were."""
    total = 0
    while count := await _batch(database, judge):
        total += count
        if count < _BATCH:
            break
    return total


async def _batch(database: Database, judge: Judge) -> int:
    newest = sa.select(sa.func.max(col(LedgerEvent.number)))
    async with database.read() as session:
        cursor = await session.get(NoticeCursor, 1)
        if cursor is not None and (await session.scalar(newest) or -1) <= cursor.number:
            return 0  # without ever taking the writers' lock
    async with database.write() as session:
        cursor = await session.get(NoticeCursor, 1, with_for_update=True, populate_existing=True)
        end = await session.scalar(newest)
        end = -1 if end is None else end
        if cursor is None:  # what was before is not handed out
            session.add(NoticeCursor(number=end))
            return 0
        query = (
            sa.select(LedgerEvent)
            .where(
                col(LedgerEvent.number) > cursor.number,
                col(LedgerEvent.number) <= end,
                col(LedgerEvent.kind) != _DOWNLOAD,
                sa.or_(
                    col(LedgerEvent.kind).in_(sorted(accounts.KINDS | audience.STRIKES)),
                    *[col(LedgerEvent.kind).startswith(f"{source}:") for source in _SOURCES],
                ),
            )
            .order_by(col(LedgerEvent.number))
            .limit(_BATCH)
        )
        events = list(await session.scalars(query))
        for event in events:
            await _one(session, event, judge)
        cursor.number = end if len(events) < _BATCH else events[-1].number or end
        session.add(cursor)
        return len(events)


async def _one(session: AsyncSession, event: LedgerEvent, judge: Judge) -> None:
    repo = await session.get(Repo, event.repo_id) if event.repo_id else None
    try:
        async with session.begin_nested():
            if event.kind in accounts.KINDS:
                await accounts.tell_people(session, event)
            elif repo is not None:
                await _to_webhooks(session, event, repo)
                await audience.tell_people(session, event, repo, judge)
    except Exception:  # one event that cannot be handed out must not keep all others back
        _log.exception("an event could not be handed out", event_id=event.id, kind=event.kind)


async def _to_webhooks(session: AsyncSession, event: LedgerEvent, repo: Repo) -> None:
    how = told(event)
    if how is None:
        return
    watching = sa.select(col(WebhookWatch.webhook_id)).where(
        col(WebhookWatch.key).in_(await _keys(session, event, repo))
    )
    hooks = await session.scalars(
        sa.select(Webhook).where(
            col(Webhook.id).in_(watching),
            col(Webhook.disabled_at).is_(None),
            col(Webhook.created_at) <= event.occurred_at,
        )
    )
    for hook in hooks:
        if how.domain.value in hook.domains:
            delivery = WebhookDelivery(
                webhook_id=hook.id,
                event_id=event.id,
                domain=how.domain.value,
                action=how.action,
                scope=how.scope,
                subject_key=subject_key(event, how),
                position=event.number or 0,
            )
            session.add(delivery)


async def _keys(session: AsyncSession, event: LedgerEvent, repo: Repo) -> set[str]:
    """Under what the repository may be watched: its name, its owner's, and the names it had."""
    had = set(await session.scalars(sa.select(col(RepoRedirect.key)).where(col(RepoRedirect.repo_id) == repo.id)))
    keys = {key_of(repo.kind, repo.full_name), space_key(repo.namespace), *had}
    if event.kind == "repos:repo:move":  # whoever watched the owner it leaves hears of that
        keys |= {space_key(key.split("/")[1]) for key in had}
    return keys
