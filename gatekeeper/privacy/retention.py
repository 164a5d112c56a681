"""Retention: what is personal goes when its time is over, unless a legal hold keeps it. Safe to repeat."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.link_tables import SessionUse
from gatekeeper.accounts.tables import BrowserSession
from gatekeeper.kit.clock import now
from gatekeeper.licensing.tables import Acceptance, Presentation
from gatekeeper.privacy.erasure import clear_requests
from gatekeeper.privacy.removal import remove
from gatekeeper.privacy.tables import Cleared, LegalHold
from gatekeeper.settings import Settings

BATCH = 500  # rows of a class in one run; the rest has its turn an hour later
_TURNED_DOWN = (RequestState.REJECTED, RequestState.WITHDRAWN)
_OVER = (RequestState.REVOKED, RequestState.CLOSED, RequestState.EXPIRED)


@dataclass(frozen=True)
class Periods:
    """How many days each class is kept; 0 keeps it for good."""

    draft: int = 90
    rejected: int = 365
    acceptance: int = 3650
    address: int = 90

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator set them."""
        return cls(
            draft=settings.retention_draft_days,
            rejected=settings.retention_rejected_days,
            acceptance=settings.retention_acceptance_days,
            address=settings.retention_address_days,
        )


async def enforce(session: AsyncSession, periods: Periods) -> dict[str, int]:
    """Take out what is over; returns how much of each class, and records it if there was any."""
    done: dict[str, int] = {}
    if before := _before(periods.draft):
        done["draft"] = await _remove_drafts(session, before)
        done["presentation"] = await _remove_presentations(session, before)
    if before := _before(periods.rejected):
        done["rejected"] = await _clear(session, _TURNED_DOWN, before)
    if before := _before(periods.acceptance):
        done["ended"] = await _clear(session, _OVER, before)
        done["acceptance"] = await _remove_acceptances(session, before)
    if before := _before(periods.address):
        done["address"] = await _forget_browsers(session, before)
    done = {name: count for name, count in done.items() if count}
    if done:
        await ledger.record(session, "privacy:retention:enforce", body=done)
    return done


def _before(days: int) -> datetime | None:
    return now() - timedelta(days=days) if days else None


def _is_held(person_id: Any) -> sa.ColumnElement[bool]:
    return sa.exists().where(col(LegalHold.person_id) == person_id)


async def _remove_drafts(session: AsyncSession, before: datetime) -> int:
    query = sa.select(col(AccessRequest.id)).where(
        col(AccessRequest.state) == RequestState.DRAFT,
        col(AccessRequest.changed_at) < before,
        ~_is_held(col(AccessRequest.person_id)),
    )
    ids = list(await session.scalars(query.limit(BATCH)))
    table = AccessRequest.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
    return await remove(session, table, table.c.id.in_(ids)) if ids else 0


async def _remove_presentations(session: AsyncSession, before: datetime) -> int:
    """Pages of terms that nobody accepted; those that were, stay as long as the acceptance."""
    query = sa.select(col(Presentation.id)).where(
        col(Presentation.shown_at) < before,
        ~sa.exists().where(col(Acceptance.presentation_id) == col(Presentation.id)),
        ~_is_held(col(Presentation.person_id)),
    )
    ids = list(await session.scalars(query.limit(BATCH)))
    await session.execute(sa.delete(Presentation).where(col(Presentation.id).in_(ids)))
    return len(ids)


async def _clear(session: AsyncSession, states: tuple[RequestState, ...], before: datetime) -> int:
    query = sa.select(col(AccessRequest.id)).where(
        col(AccessRequest.state).in_(states),
        col(AccessRequest.changed_at) < before,
        ~sa.exists().where(col(Cleared.request_id) == col(AccessRequest.id)),
        ~_is_held(col(AccessRequest.person_id)),
    )
    ids = list(await session.scalars(query.limit(BATCH)))
    await clear_requests(session, ids)
    session.add_all([Cleared(request_id=each) for each in ids])
    return len(ids)


async def _remove_acceptances(session: AsyncSession, before: datetime) -> int:
    """Acceptances that were withdrawn, or whose access has ended, so long ago. Without a grant they are still used."""
    same = sa.and_(
        col(AccessGrant.person_id) == col(Acceptance.person_id), col(AccessGrant.repo_id) == col(Acceptance.repo_id)
    )
    ended = sa.func.coalesce(col(AccessGrant.revoked_at), col(AccessGrant.ends_at))
    is_used = sa.exists().where(same, sa.or_(ended.is_(None), ended >= before))
    query = sa.select(col(Acceptance.id), col(Acceptance.presentation_id)).where(
        col(Acceptance.accepted_at) < before,
        ~is_used,
        sa.or_(
            col(Acceptance.withdrawn_at) < before,
            sa.and_(col(Acceptance.withdrawn_at).is_(None), sa.exists().where(same)),
        ),
        ~_is_held(col(Acceptance.person_id)),
    )
    rows = (await session.execute(query.limit(BATCH))).all()
    await session.execute(sa.delete(Acceptance).where(col(Acceptance.id).in_([row.id for row in rows])))
    shown = [row.presentation_id for row in rows if row.presentation_id]
    is_left = sa.exists().where(col(Acceptance.presentation_id) == col(Presentation.id))
    await session.execute(sa.delete(Presentation).where(col(Presentation.id).in_(shown), ~is_left))
    return len(rows)


async def _forget_browsers(session: AsyncSession, before: datetime) -> int:
    query = sa.select(col(BrowserSession.id)).where(
        col(BrowserSession.signed_in_at) < before,
        col(BrowserSession.user_agent) != "",
        ~_is_held(col(BrowserSession.person_id)),
    )
    ids = list(await session.scalars(query.limit(BATCH)))
    await session.execute(sa.update(BrowserSession).where(col(BrowserSession.id).in_(ids)).values(user_agent=""))
    await session.execute(sa.update(SessionUse).where(col(SessionUse.session_id).in_(ids)).values(network=""))
    return len(ids)
