"""From yes to a grant: a request is approved, waits for what is still missing, and becomes active; and how it ends."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.access import blocks, decisions, moves, prerequisites
from gatekeeper.access.grants import open_grant, open_grant_of
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.repos.tables import Repo

_MOST = 200


def proposed_end(request: AccessRequest, at: datetime) -> datetime | None:
    """When a grant made now ends, as the stage that it was asked for at proposes; None: no end."""
    return at + timedelta(days=request.grant_days) if request.grant_days else None


async def approved(
    session: AsyncSession,
    request: AccessRequest,
    *,
    by: Principal | None,
    at: datetime,
    ends_at: datetime | None,
    is_tester: bool = False,
    conditions: str = "",
    rules: Rules | None = None,
) -> AccessRequest:
    """Record the yes, and make the grant if nothing is missing."""
    fresh = await moves.step(
        session,
        request,
        moves.APPROVE,
        by=by,
        at=at,
        facts={"ends_at": ends_at, "is_tester": is_tester, "is_automatic": by is None},
        values={
            "approved_ends_at": ends_at,
            "is_tester": is_tester,
            "conditions": conditions,
            "conditions_accepted_at": None,
            "reason_code": "",
        },
        data={"conditions": conditions} if conditions else None,
    )
    return await activate(session, fresh, by=by, at=at, rules=rules)


async def activate(
    session: AsyncSession, request: AccessRequest, *, by: Principal | None, at: datetime, rules: Rules | None = None
) -> AccessRequest:
    """Make the grant of an approved request, unless conditions or prerequisites still lack: then it waits."""
    repo = await session.get_one(Repo, request.repo_id)
    if (refusal := await _refusal(session, request, repo)) is not None:
        raise refusal
    if request.conditions and request.conditions_accepted_at is None:
        return request
    if await prerequisites.lacking(session, request.person_id, repo, request.required, at=at):
        return request
    ends_at = request.approved_ends_at
    if ends_at is not None and ends_at <= at:
        raise errors.Conflict(
            "The access that was approved has ended by date before it began.",
            next_step="Ask the maintainers to decide again.",
        )
    await supersede(session, request, by=by, at=at)
    fresh = await moves.step(session, request, moves.ACTIVATE, by=by, at=at)
    await open_grant(
        session,
        fresh,
        by=by,
        at=at,
        ends_at=ends_at,
        is_tester=request.is_tester,
        notice_days=(rules or Rules.load()).expiry_notice_days,
    )
    return fresh


async def activate_waiting(session: AsyncSession, person_id: str, *, at: datetime) -> list[AccessRequest]:
    """Look again at a person's approved requests that waited, after something they lacked was added."""
    await moves.take_turn(session, person_id)
    waiting = await session.scalars(
        sa.select(AccessRequest)
        .where(col(AccessRequest.person_id) == person_id, col(AccessRequest.state) == RequestState.AWAITING_TERMS)
        .order_by(col(AccessRequest.id))
        .limit(_MOST)
    )
    done = []
    for request in waiting.all():
        if request.approved_ends_at is not None and request.approved_ends_at <= at:
            continue
        if await _refusal(session, request, await session.get_one(Repo, request.repo_id)) is not None:
            continue
        fresh = await activate(session, request, by=None, at=at)
        if fresh.state is RequestState.ACTIVE:
            done.append(fresh)
    return done


async def settle(session: AsyncSession, request: AccessRequest, at: datetime) -> AccessRequest:
    """The request, moved to `expired` if its grant has run out. Enforcement never waits for this."""
    if request.state not in moves.EXPIRE.sources:
        return request
    grant = await open_grant_of(session, request)
    if grant is not None and (grant.ends_at is None or grant.ends_at > at):
        return request
    return await moves.step(session, request, moves.EXPIRE, by=None, at=at)


async def _refusal(session: AsyncSession, request: AccessRequest, repo: Repo) -> errors.Conflict | None:
    """What to raise where an approval gives no access any more: a block, or a later word about older access."""
    if await blocks.is_blocked(session, request.person_id, repo):
        return blocks.refusal(repo)
    last = await decisions.last_decision(session, request.person_id, repo.id)
    if last is None or not last.is_against:
        return None
    return errors.Conflict(
        f"Access to {repo.full_name} was suspended or revoked after this approval.",
        next_step="A maintainer takes the approval back and decides again.",
    )


async def supersede(session: AsyncSession, request: AccessRequest, *, by: Principal | None, at: datetime) -> None:
    """End what the grant of this request replaces: a person has one grant for a repository."""
    older = await session.scalars(
        sa.select(AccessGrant).where(
            col(AccessGrant.person_id) == request.person_id,
            col(AccessGrant.repo_id) == request.repo_id,
            col(AccessGrant.revoked_at).is_(None),
        )
    )
    for grant in older.all():
        replaced = await session.get(AccessRequest, grant.request_id) if grant.request_id else None
        if replaced is not None and replaced.id != request.id:
            replaced = await settle(session, replaced, at)
            if replaced.state in moves.CLOSE.sources:
                facts = {"grant_id": grant.id, "successor_id": request.id}
                await moves.step(session, replaced, moves.CLOSE, by=by, at=at, facts=facts)
        grant.revoked_at, grant.revoke_reason = at, ""
        session.add(grant)
    await session.flush()  # the new grant must not meet the old one
