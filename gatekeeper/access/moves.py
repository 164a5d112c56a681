"""The request machine: which act leads from which state to which, and the one way to take a step."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.access.tables import AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.canonical import instant_text, sha256_hex

MAX_REASON_CHARS = 2_000

S = RequestState


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of step. `done` completes "This request was ...", for whoever came second."""

    name: str
    sources: frozenset[RequestState]
    target: RequestState


# Compatibility: names of acts are parts of ledger events; they are added, never renamed.
APPROVE = Act("approve", frozenset({S.IN_REVIEW, S.REJECTED, S.REVOKED}), S.ACTIVE)
REJECT = Act("reject", frozenset({S.IN_REVIEW}), S.REJECTED)
CANCEL = Act("cancel", frozenset({S.ACTIVE, S.REJECTED, S.REVOKED}), S.IN_REVIEW)
WITHDRAW = Act("withdraw", frozenset({S.IN_REVIEW}), S.WITHDRAWN)
REVOKE = Act("revoke", frozenset({S.ACTIVE}), S.REVOKED)
CLOSE = Act("close", frozenset({S.ACTIVE}), S.CLOSED)
EXPIRE = Act("expire", frozenset({S.ACTIVE}), S.EXPIRED)
ACTS = (APPROVE, REJECT, CANCEL, WITHDRAW, REVOKE, CLOSE, EXPIRE)

_SAYS = {
    S.IN_REVIEW: "is in review",
    S.ACTIVE: "was approved",
    S.REJECTED: "was rejected",
    S.WITHDRAWN: "was withdrawn by the applicant",
    S.REVOKED: "was approved and the access revoked",
    S.CLOSED: "was approved and the access closed",
    S.EXPIRED: "was approved and the access has expired",
}


async def step(
    session: AsyncSession,
    request: AccessRequest,
    act: Act,
    *,
    by: Principal | None,
    at: datetime,
    reason: str = "",
    facts: dict[str, Any] | None = None,
    policy: str | None = None,
) -> AccessRequest:
    """Take one step, compare-and-set on the request's version, and record it.

    Raises Conflict, saying what happened, when the state does not allow the act or somebody else was faster.
    """
    before = request.state
    if before not in act.sources:
        raise await _conflict(session, request, act)
    values: dict[str, Any] = {"state": act.target, "version": request.version + 1, "reason": reason}
    if by is None or by.person_id != request.person_id:
        values |= {"decided_at": at, "decided_by": by.person_id if by else None}
    if act is CANCEL:
        values |= {"decided_at": None, "decided_by": None}
    won = await session.scalar(
        sa.update(AccessRequest)
        .where(
            col(AccessRequest.id) == request.id,
            col(AccessRequest.version) == request.version,
            col(AccessRequest.state) == before,
        )
        .values(**values)
        .returning(col(AccessRequest.id))
        .execution_options(synchronize_session=False)
    )
    if won is None:
        raise await _conflict(session, request, act)
    fresh = await reload(session, request)
    await ledger.record(
        session,
        f"access:request:{act.name}",
        actor=by.person_id if by else None,
        token=by.token_id if by else None,
        repo=request.repo_id,
        subject=request.id,
        body={"before": before, "after": act.target, "person_id": request.person_id}
        | ({"reason_sha256": digest_of_reason(reason)} if reason else {})
        | (facts or {}),
        policy=policy,
    )
    return fresh


async def reload(session: AsyncSession, request: AccessRequest) -> AccessRequest:
    """The request as the database has it, also where the object came from another session."""
    return await session.get_one(AccessRequest, request.id, populate_existing=True)


def checked_reason(reason: str, *, what: str) -> str:
    """The reason, trimmed. Raises Invalid when there is none or it is too long."""
    text = reason.strip()
    if not text:
        raise errors.Invalid(
            f"{what} needs a reason.", next_step="Write one or two sentences that the person will read."
        )
    if len(text) > MAX_REASON_CHARS:
        raise errors.Invalid(
            f"The reason has {len(text):,} characters; at most {MAX_REASON_CHARS:,} are kept.", next_step="Shorten it."
        )
    return text


def digest_of_reason(reason: str) -> str | None:
    """What the evidence holds of a reason: it may name people, and evidence is kept for good."""
    return sha256_hex(reason.encode()) if reason else None


async def _conflict(session: AsyncSession, request: AccessRequest, act: Act) -> errors.Conflict:
    now_there = await session.get(AccessRequest, request.id, populate_existing=True)
    if now_there is None:
        return errors.Conflict("This request does not exist any more.", next_step="Reload the list of requests.")
    by = await session.get(Person, now_there.decided_by) if now_there.decided_by else None
    who = f" by {by.name}" if by else ""
    when = f" on {instant_text(now_there.decided_at)}" if now_there.decided_at else ""
    return errors.Conflict(
        f"This request {_SAYS[now_there.state]}{who}{when}, so it cannot be changed by “{act.name}” now.",
        next_step="Reload the request and decide again if that is still needed.",
        details={"state": now_there.state.value, "act": act.name},
    )
