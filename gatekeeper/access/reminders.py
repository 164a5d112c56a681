"""What jobs do when an end or an answer is due. Each looks again in its own transaction, so that it never tells of
what a decision has changed meanwhile, and tells it once."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.access import moves
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent

_MOST = 200


async def tell_of_end(session: AsyncSession, payload: dict[str, Any]) -> bool:
    """Record that a grant ends in so many days; whether there was something to tell.

    payload  grant_id, days, and the end that the grant had when the job was promised
    """
    grant = await session.get(AccessGrant, payload["grant_id"], with_for_update=True)
    at = now()
    if grant is None or grant.revoked_at is not None or grant.ends_at is None or grant.ends_at <= at:
        return False
    if instant_text(grant.ends_at) != payload["ends_at"]:
        return False
    return await _once(
        session, "access:grant:expiring", grant.repo_id, grant.id,
        {"person_id": grant.person_id, "days": payload["days"], "ends_at": payload["ends_at"]},
    )  # fmt: skip


async def tell_of_delay(session: AsyncSession, payload: dict[str, Any]) -> bool:
    """Record that a request waits longer than its queue's target; whether there was something to tell.

    payload  request_id, round
    """
    request = await session.get(AccessRequest, payload["request_id"], with_for_update=True)
    if request is None or request.round != payload["round"]:
        return False
    if request.state not in (RequestState.IN_REVIEW, RequestState.REFERRED):
        return False
    return await _once(
        session, "access:request:overdue", request.repo_id, request.id,
        {"round": request.round, "queue": request.queue},
    )  # fmt: skip


async def discard_drafts(session: AsyncSession, rules: Rules | None = None) -> int:
    """Throw away drafts that nobody touched for long, with their answers; how many."""
    at = now()
    before = at - timedelta(days=(rules or Rules.load()).draft_days)
    stale = await session.scalars(
        sa.select(AccessRequest)
        .where(col(AccessRequest.state) == RequestState.DRAFT, col(AccessRequest.changed_at) < before)
        .limit(_MOST)
    )
    drafts = stale.all()
    for draft in drafts:
        await moves.step(session, draft, moves.WITHDRAW, by=None, at=at, values={"fields": {}})
    return len(drafts)


async def _once(session: AsyncSession, kind: str, repo_id: str, subject: str, body: dict[str, Any]) -> bool:
    """A job may run twice; its event is written once."""
    earlier = await session.scalars(
        sa.select(LedgerEvent).where(col(LedgerEvent.kind) == kind, col(LedgerEvent.subject_id) == subject)
    )
    if any(event.body == body for event in earlier):
        return False
    await ledger.record(session, kind, repo=repo_id, subject=subject, body=body)
    return True
