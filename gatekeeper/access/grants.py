"""Grants: what enforcement reads. In force while not revoked and before their end, compared when somebody asks."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, jobs, ledger
from gatekeeper.access import moves
from gatekeeper.access.tables import OPEN, AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now

EXPIRING = "access:expiring"  # kind of the jobs that tell of a coming end


@dataclass(frozen=True, slots=True)
class Standing:
    """How a person stands to a repository: their newest request, and the grant that is in force at the instant."""

    request: AccessRequest | None
    grant: AccessGrant | None


async def standing(session: AsyncSession, person_id: str | None, repo_id: str, instant: datetime) -> Standing:
    """The person's standing at `instant`. Nobody in particular stands nowhere."""
    if person_id is None:
        return Standing(None, None)
    request = await latest_request(session, person_id, repo_id)
    return Standing(request, await grant_in_force(session, person_id, repo_id, instant))


async def grant_in_force(session: AsyncSession, person_id: str, repo_id: str, instant: datetime) -> AccessGrant | None:
    """The grant that counts at `instant`; of several the one that lasts longest."""
    return (await grants_in_force(session, person_id, [repo_id], instant)).get(repo_id)


async def grants_in_force(
    session: AsyncSession, person_id: str, repo_ids: Collection[str] | None, instant: datetime
) -> dict[str, AccessGrant]:
    """The same for several repositories (None: all), by their ids."""
    here = [col(AccessGrant.repo_id).in_(repo_ids)] if repo_ids is not None else []
    rows = await session.scalars(
        sa.select(AccessGrant)
        .where(col(AccessGrant.person_id) == person_id, *here, in_force(instant))
        .order_by(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at), col(AccessGrant.id).desc())
    )
    return {grant.repo_id: grant for grant in rows}  # what comes last is kept


def in_force(instant: datetime) -> sa.ColumnElement[bool]:
    """The condition on grants that count at `instant`."""
    return sa.and_(
        col(AccessGrant.revoked_at).is_(None),
        col(AccessGrant.suspended_at).is_(None),
        sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > instant),
    )


async def open_grant(
    session: AsyncSession,
    request: AccessRequest,
    *,
    by: Principal | None,
    at: datetime,
    ends_at: datetime | None,
    is_tester: bool,
    notice_days: Iterable[int] = (),
) -> AccessGrant:
    """Make the grant of a request that has just become active.

    notice_days  so many days before the end its holder is told, by jobs that look again before they tell
    """
    grant = AccessGrant(
        repo_id=request.repo_id,
        person_id=request.person_id,
        request_id=request.id,
        is_tester=is_tester,
        granted_by=by.person_id if by else None,
        granted_at=at,
        ends_at=ends_at,
    )
    session.add(grant)
    await session.flush()  # the caller reads it back
    await ledger.record(
        session,
        "access:grant:open",
        actor=by.person_id if by else None,
        token=by.token_id if by else None,
        repo=request.repo_id,
        subject=grant.id,
        body={
            "request_id": request.id,
            "person_id": request.person_id,
            "ends_at": ends_at,
            "is_tester": is_tester,
            "is_direct": request.is_direct,
        },
    )
    for days in notice_days:
        if ends_at is not None and ends_at - timedelta(days=days) > at:
            await jobs.enqueue(
                session,
                EXPIRING,
                {"grant_id": grant.id, "days": days, "ends_at": ends_at},
                run_at=ends_at - timedelta(days=days),
            )
    return grant


async def end_grant(session: AsyncSession, request: AccessRequest, *, at: datetime, reason: str) -> None:
    """End every open grant of a request whose state is about to change."""
    await session.execute(
        sa.update(AccessGrant)
        .where(col(AccessGrant.request_id) == request.id, col(AccessGrant.revoked_at).is_(None))
        .values(revoked_at=at, revoke_reason=await _words(session, request.person_id, reason))
        .execution_options(synchronize_session="fetch")
    )


async def suspend_grant(session: AsyncSession, request: AccessRequest, *, at: datetime | None) -> None:
    """Make a request's open grant not count for now (`at`), or count again (None)."""
    await session.execute(
        sa.update(AccessGrant)
        .where(col(AccessGrant.request_id) == request.id, col(AccessGrant.revoked_at).is_(None))
        .values(suspended_at=at)
        .execution_options(synchronize_session="fetch")
    )


async def open_grant_of(session: AsyncSession, request: AccessRequest) -> AccessGrant | None:
    """A request's grant that was not ended, suspended or run out as it may be."""
    found = await session.scalars(
        sa.select(AccessGrant).where(col(AccessGrant.request_id) == request.id, col(AccessGrant.revoked_at).is_(None))
    )
    return found.first()


async def revoke(
    session: AsyncSession, grant: AccessGrant, *, by: Principal, reason: str, reason_code: str = ""
) -> AccessGrant:
    """End a grant at once, with a reason that its holder reads. Access is revoked, the license is not.

    Should there be more of the same person and repository, they end with it.
    """
    reason = moves.checked_reason(reason, what="A revocation")
    ended = await _end(session, grant, moves.REVOKE, by=by, reason=reason, reason_code=reason_code)
    others = await session.scalars(
        sa.select(AccessGrant).where(
            col(AccessGrant.person_id) == grant.person_id,
            col(AccessGrant.repo_id) == grant.repo_id,
            col(AccessGrant.revoked_at).is_(None),
            sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > now()),
        )
    )
    for other in others.all():
        await _end(session, other, moves.REVOKE, by=by, reason=reason, reason_code=reason_code)
    return ended


async def close(session: AsyncSession, grant: AccessGrant, *, by: Principal) -> AccessGrant:
    """Give a grant up, or end one that is not needed any more: no reproach, and the person may ask again."""
    return await _end(session, grant, moves.CLOSE, by=by, reason="")


def check_end(ends_at: datetime | None, at: datetime) -> None:
    """Raise Invalid unless a grant that ends then would last at all."""
    if ends_at is None:
        return
    if ends_at.tzinfo is None:
        raise errors.Invalid("The end date needs a time zone.", next_step="Write it like 2027-01-31T00:00:00Z.")
    if ends_at <= at:
        raise errors.Invalid("The end date lies in the past.", next_step="Choose a later date, or no end.")


async def latest_request(session: AsyncSession, person_id: str, repo_id: str) -> AccessRequest | None:
    """The person's request for the repository that tells how they stand, a draft included."""
    return (await latest_requests(session, person_id, [repo_id])).get(repo_id)


async def latest_requests(
    session: AsyncSession, person_id: str, repo_ids: Collection[str], *, with_drafts: bool = True
) -> dict[str, AccessRequest]:
    """The same for several repositories, by their ids.

    The open one; else the one that was sent last, for an older one may have been handed on to them. One that was
    withdrawn tells something only where there is no other.
    """
    drafts = [] if with_drafts else [col(AccessRequest.state) != RequestState.DRAFT]
    rows = await session.scalars(
        sa.select(AccessRequest)
        .where(col(AccessRequest.person_id) == person_id, col(AccessRequest.repo_id).in_(repo_ids), *drafts)
        .order_by(
            col(AccessRequest.state).in_(OPEN),
            col(AccessRequest.state) != RequestState.WITHDRAWN,
            sa.func.coalesce(col(AccessRequest.waiting_since), col(AccessRequest.submitted_at)),
            col(AccessRequest.id),
        )
    )
    return {request.repo_id: request for request in rows}  # what comes last is kept


async def _end(
    session: AsyncSession, grant: AccessGrant, act: moves.Act, *, by: Principal, reason: str, reason_code: str = ""
) -> AccessGrant:
    at = now()
    await moves.take_turn(session, grant.person_id)
    won = await session.scalar(
        sa.update(AccessGrant)
        .where(col(AccessGrant.id) == grant.id, col(AccessGrant.revoked_at).is_(None))
        .values(revoked_at=at, revoke_reason=await _words(session, grant.person_id, reason))
        .returning(col(AccessGrant.id))
        .execution_options(synchronize_session=False)
    )
    if won is None:
        raise errors.Conflict("This grant was ended already.", next_step="Reload the list of grants.")
    request = await session.get(AccessRequest, grant.request_id, populate_existing=True) if grant.request_id else None
    if request is not None and request.state in act.sources:
        await moves.step(
            session,
            request,
            act,
            by=by,
            at=at,
            reason=reason,
            facts={"grant_id": grant.id} | ({"reason_code": reason_code} if reason_code else {}),
            values={"reason_code": reason_code},
        )
    else:
        key = await key_of(session, grant.person_id)
        await ledger.record(
            session,
            f"access:grant:{act.name}",
            actor=by.person_id,
            token=by.token_id,
            repo=grant.repo_id,
            subject=grant.id,
            body={"person_id": grant.person_id}
            | ({"reason_commitment": key.commit(reason, about=grant.id)} if reason else {}),
        )
    return await session.get_one(AccessGrant, grant.id, populate_existing=True)


async def _words(session: AsyncSession, person_id: str, reason: str) -> str:
    return (await key_of(session, person_id)).words(reason) if reason else ""
