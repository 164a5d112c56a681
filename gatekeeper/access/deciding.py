"""What a reviewer decides: approve (by as many as the stage asks for), reject, take back, suspend, add conditions."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.access import activation, blocks, moves
from gatekeeper.access.grants import check_end, end_grant, grant_in_force, latest_request, suspend_grant
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessGrant, AccessRequest, AccessStep, AccessVoice, RequestState
from gatekeeper.accounts import memberships
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Person, Role
from gatekeeper.kit.clock import now
from gatekeeper.repos import team_rights
from gatekeeper.repos.tables import Repo

_OPERATOR = "operator"
_ASKED_BY = ("create", "renew", "submit")
_AGAINST = (moves.REJECT.name, moves.REVOKE.name)


async def approve(
    session: AsyncSession,
    request: AccessRequest,
    *,
    by: Principal,
    ends_at: datetime | None = None,
    is_tester: bool = False,
    conditions: str = "",
    rules: Rules | None = None,
) -> AccessGrant | None:
    """Say yes to what was asked for, until `ends_at` if that is set. Also turns a rejection or a revocation around.

    conditions  what the applicant must agree to first
    Returns the grant, or None while other reviewers, the applicant's agreement or a prerequisite are missing.
    """
    await _may_decide(session, request, by)
    repo = await session.get_one(Repo, request.repo_id)
    await moves.take_turn(session, request.person_id)  # a block that is made meanwhile is seen, or sees the grant
    if await blocks.is_blocked(session, request.person_id, repo):
        raise blocks.refusal(repo)
    at = now()
    check_end(ends_at, at)
    conditions = moves.checked_words(conditions)
    if request.state in moves.APPROVAL.sources and request.approvals_needed > 1:
        request = await _say_yes(session, request, by=by, at=at)
        if len(await approvals(session, request)) < request.approvals_needed:
            return None
    elif request.state in moves.APPROVE.sources - moves.APPROVAL.sources:
        if request.approvals_needed > 1:
            raise errors.Conflict(
                f"This needs {request.approvals_needed} reviewers, so it is not turned around by one.",
                next_step="Take the decision back first, then each of them approves.",
            )
        await _must_be_newest(session, request, by=by, at=at)
    fresh = await activation.approved(
        session, request, by=by, at=at, ends_at=ends_at, is_tester=is_tester, conditions=conditions, rules=rules
    )
    if fresh.state is not RequestState.ACTIVE:
        return None
    return await grant_in_force(session, fresh.person_id, fresh.repo_id, at)


async def reject(
    session: AsyncSession,
    request: AccessRequest,
    *,
    by: Principal,
    reason: str,
    reason_code: str = "",
    reapply_at: datetime | None = None,
) -> AccessRequest:
    """Turn the request down, with a reason that the applicant reads; from `reapply_at` on they may ask again."""
    await _may_decide(session, request, by)
    reason = moves.checked_reason(reason, what="A rejection")
    if reapply_at is not None and reapply_at <= now():
        raise errors.Invalid("The day from which they may ask again is over.", next_step="Choose a later day, or none.")
    facts = {"reason_code": reason_code} if reason_code else {}
    return await moves.step(
        session,
        request,
        moves.REJECT,
        by=by,
        at=now(),
        reason=reason,
        facts=facts | ({"reapply_at": reapply_at} if reapply_at else {}),
        values={"reason_code": reason_code, "reapply_at": reapply_at},
    )


async def cancel(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """Take a decision back: the request is in review again, and a grant it led to ends."""
    await _may_decide(session, request, by)
    at = now()
    await _must_be_newest(session, request, by=by, at=at)
    fresh = await moves.step(session, request, moves.CANCEL, by=by, at=at)
    await end_grant(session, request, at=at, reason="cancelled")
    return fresh


async def suspend(
    session: AsyncSession, request: AccessRequest, *, by: Principal, reason: str, reason_code: str = ""
) -> AccessRequest:
    """Let access not count for now, with a reason that the holder reads. Binds on the next request."""
    _not_applicant(request, by)
    reason = moves.checked_reason(reason, what="A suspension")
    at = now()
    request = await activation.settle(session, request, at)
    facts = {"reason_code": reason_code} if reason_code else {}
    fresh = await moves.step(
        session, request, moves.SUSPEND, by=by, at=at, reason=reason, facts=facts, values={"reason_code": reason_code}
    )
    await suspend_grant(session, fresh, at=at)
    return fresh


async def resume(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """Let suspended access count again; its end stays where it was."""
    _not_applicant(request, by)
    at = now()
    request = await activation.settle(session, request, at)
    fresh = await moves.step(session, request, moves.RESUME, by=by, at=at)
    await suspend_grant(session, fresh, at=None)
    return fresh


async def add_terms(session: AsyncSession, request: AccessRequest, *, by: Principal, conditions: str) -> AccessRequest:
    """Make access wait until its holder agrees to further conditions."""
    await _may_decide(session, request, by)
    conditions = moves.checked_reason(conditions, what="An added condition")
    at = now()
    request = await activation.settle(session, request, at)
    fresh = await moves.step(
        session,
        request,
        moves.ADD_TERMS,
        by=by,
        at=at,
        values={"conditions": conditions, "conditions_accepted_at": None},
        data={"conditions": conditions},
    )
    await end_grant(session, fresh, at=at, reason="")
    return fresh


async def approvals(session: AsyncSession, request: AccessRequest) -> Sequence[str]:
    """Who said yes in this round and may still review: people's ids, or `operator`.

    Whoever lost the role since, is disabled, asked themselves or decided what was appealed against does not count.
    """
    said = await session.scalars(
        sa.select(col(AccessVoice.speaker)).where(
            col(AccessVoice.request_id) == request.id,
            col(AccessVoice.round) == request.round,
            col(AccessVoice.kind) == "approval",
        )
    )
    able = await reviewers(session, await session.get_one(Repo, request.repo_id))
    able -= await barred(session, request) | {request.person_id}
    return sorted(speaker for speaker in said if speaker == _OPERATOR or speaker in able)


async def barred(session: AsyncSession, request: AccessRequest) -> frozenset[str]:
    """People who decided what was appealed against, in any of the appeals: they do not decide it again."""
    if request.appealed_at is None:
        return frozenset()
    steps = await session.execute(
        sa.select(col(AccessStep.act), col(AccessStep.actor_id))
        .where(col(AccessStep.request_id) == request.id, col(AccessStep.act).in_((moves.APPEAL.name, *_AGAINST)))
        .order_by(col(AccessStep.id))
    )
    found, last = {request.barred_id}, None
    for act, actor in steps:
        found |= {last} if act == moves.APPEAL.name else set()
        last = actor
    return frozenset(each for each in found if each is not None)


async def _say_yes(session: AsyncSession, request: AccessRequest, *, by: Principal, at: datetime) -> AccessRequest:
    speaker = by.person_id or _OPERATOR
    if speaker in await approvals(session, request):
        raise errors.Conflict(
            "You approved this already; others have to as well.", next_step="Wait for another reviewer."
        )
    session.add(
        AccessVoice(request_id=request.id, round=request.round, kind="approval", speaker=speaker, value="yes", at=at)
    )
    await session.flush()  # counted right after
    given = len(await approvals(session, request))
    facts = {"given": given, "needed": request.approvals_needed}
    return await moves.step(session, request, moves.APPROVAL, by=by, at=at, facts=facts)


async def reviewers(session: AsyncSession, repo: Repo) -> frozenset[str]:
    """People whose approval counts: who may write to the repository, and the hub's administrators."""
    organization = sa.select(col(Membership.person_id)).where(
        col(Membership.organization_id) == (repo.owner_organization_id or ""),
        col(Membership.role).in_([Role.ADMIN, Role.WRITE]),
        memberships.counts(),
    )
    found = await session.scalars(
        sa.select(col(Person.id)).where(
            col(Person.is_disabled).is_(False),
            sa.or_(
                col(Person.id) == (repo.owner_person_id or ""),
                col(Person.is_admin),
                col(Person.id).in_(organization),
                col(Person.id).in_(team_rights.people_with(repo, Role.ADMIN, Role.WRITE)),
            ),
        )
    )
    return frozenset(found)


async def _must_be_newest(session: AsyncSession, request: AccessRequest, *, by: Principal, at: datetime) -> None:
    """Raise Conflict for a decided request under a newer one. A draft, which only its author sees, gives way."""
    last = await latest_request(session, request.person_id, request.repo_id)
    if last is not None and last.state is RequestState.DRAFT and last.id != request.id:
        await moves.step(session, last, moves.WITHDRAW, by=by, at=at)
        last = await latest_request(session, request.person_id, request.repo_id)
    if last is not None and last.id != request.id:
        raise errors.Conflict(
            "The applicant has asked again since.",
            next_step="Decide the newer request.",
            details={"request_id": last.id},
        )


async def _may_decide(session: AsyncSession, request: AccessRequest, by: Principal) -> None:
    _not_applicant(request, by)
    if by.person_id is None:
        return
    if by.person_id in await barred(session, request):
        raise errors.NotAllowed(
            "This is an appeal against your own decision.", next_step="Another maintainer of the repository decides."
        )
    asked = await session.scalar(
        sa.select(col(AccessStep.id))
        .where(
            col(AccessStep.request_id) == request.id,
            col(AccessStep.actor_id) == by.person_id,
            col(AccessStep.act).in_(_ASKED_BY),
        )
        .limit(1)
    )
    if asked is not None:  # it was handed on to somebody else since
        raise _own_request()


def _not_applicant(request: AccessRequest, by: Principal) -> None:
    if by.person_id is not None and by.person_id == request.person_id:
        raise _own_request()


def _own_request() -> errors.NotAllowed:
    return errors.NotAllowed(
        "Nobody decides about their own request.", next_step="Ask another maintainer of the repository."
    )
