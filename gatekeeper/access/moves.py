"""The request machine: which act leads from which states to which, and the one way to take a step."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.access.tables import AccessRequest, AccessStep, RequestState
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.canonical import instant_text, sha256_hex
from gatekeeper.kit.personal import Facts, Words

MAX_REASON_CHARS = 2_000

S = RequestState
_UNDECIDED = frozenset({S.DRAFT, S.IN_REVIEW, S.RETURNED, S.REFERRED, S.AWAITING_TERMS})
_HELD = frozenset({S.ACTIVE, S.SUSPENDED})
_APPEALED = frozenset({S.IN_REVIEW, S.RETURNED, S.REFERRED})
_OVER = frozenset({S.EXPIRED, S.REVOKED, S.CLOSED})


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of step. `target` None: the state stays. `is_shown`: the applicant reads of it, words and all."""

    name: str
    sources: frozenset[RequestState]
    target: RequestState | None
    is_shown: bool = True


def _act(name: str, sources: frozenset[S] | S, target: S | None = None, *, is_shown: bool = True) -> Act:
    return Act(name, frozenset({sources}) if isinstance(sources, S) else sources, target, is_shown)


# Compatibility: names of acts are parts of ledger events; they are added, never renamed.
SAVE = _act("save", frozenset({S.DRAFT, S.RETURNED}))
SUBMIT = _act("submit", frozenset({S.DRAFT, S.RETURNED}), S.IN_REVIEW)
SCREEN = _act("screen", S.IN_REVIEW, is_shown=False)
CORRECT = _act("correct", S.IN_REVIEW, S.RETURNED)
WITHDRAW = _act("withdraw", _UNDECIDED, S.WITHDRAWN)
APPEAL = _act("appeal", frozenset({S.REJECTED, S.REVOKED}), S.IN_REVIEW)
ACCEPT_REJECTION = _act("accept-rejection", _APPEALED, S.REJECTED)  # the appeal is taken back, the decision stands
ACCEPT_REVOCATION = _act("accept-revocation", _APPEALED, S.REVOKED)
CONFIRM = _act("confirm", S.AWAITING_TERMS)
CLOSE_OUT = _act("close-out", _OVER)
CLAIM = _act("claim", S.IN_REVIEW)
UNCLAIM = _act("unclaim", S.IN_REVIEW, is_shown=False)
ROUTE = _act("route", S.IN_REVIEW, is_shown=False)
RETURN = _act("return", S.IN_REVIEW, S.RETURNED)
REFER = _act("refer", S.IN_REVIEW, S.REFERRED, is_shown=False)
ANSWER = _act("answer", S.REFERRED, S.IN_REVIEW, is_shown=False)
RECALL = _act("recall", frozenset({S.REFERRED, S.RETURNED}), S.IN_REVIEW, is_shown=False)
VOTE = _act("vote", frozenset({S.IN_REVIEW, S.REFERRED}), is_shown=False)
DELEGATE = _act("delegate", frozenset({S.IN_REVIEW, S.RETURNED, S.REFERRED}), S.RETURNED)
APPROVAL = _act("approval", S.IN_REVIEW, is_shown=False)
APPROVE = _act("approve", frozenset({S.IN_REVIEW, S.REJECTED, S.REVOKED}), S.AWAITING_TERMS)
ACTIVATE = _act("activate", S.AWAITING_TERMS, S.ACTIVE)
ADD_TERMS = _act("add-terms", S.ACTIVE, S.AWAITING_TERMS)
REJECT = _act("reject", S.IN_REVIEW, S.REJECTED)
CANCEL = _act("cancel", frozenset({S.ACTIVE, S.AWAITING_TERMS, S.REJECTED, S.REVOKED}), S.IN_REVIEW)
UNDO = _act("undo", frozenset({S.ACTIVE, S.AWAITING_TERMS, S.REJECTED}), S.IN_REVIEW)
SUSPEND = _act("suspend", S.ACTIVE, S.SUSPENDED)
RESUME = _act("resume", S.SUSPENDED, S.ACTIVE)
REVOKE = _act("revoke", _HELD | {S.AWAITING_TERMS}, S.REVOKED)
CLOSE = _act("close", _HELD, S.CLOSED)
EXPIRE = _act("expire", _HELD, S.EXPIRED)
ACTS = (
    SAVE, SUBMIT, SCREEN, CORRECT, WITHDRAW, APPEAL, ACCEPT_REJECTION, ACCEPT_REVOCATION, CONFIRM, CLOSE_OUT,
    CLAIM, UNCLAIM, ROUTE, RETURN, REFER, ANSWER, RECALL, VOTE, DELEGATE,
    APPROVAL, APPROVE, ACTIVATE, ADD_TERMS, REJECT, CANCEL, UNDO, SUSPEND, RESUME, REVOKE, CLOSE, EXPIRE,
)  # fmt: skip

_DECISIONS = frozenset({APPROVE, REJECT, REVOKE, EXPIRE})
ANEW = frozenset({CANCEL, APPEAL, SUBMIT})
_WORDS = frozenset({"reason", "conditions"})  # columns under the applicant's key
_FACTS = frozenset({"fields", "draft"})

_SAYS = {
    S.DRAFT: "is a draft",
    S.IN_REVIEW: "is in review",
    S.RETURNED: "is with the applicant",
    S.REFERRED: "waits for the opinion that was asked for",
    S.AWAITING_TERMS: "was approved and waits for the applicant",
    S.ACTIVE: "was approved",
    S.SUSPENDED: "was approved and the access suspended",
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
    values: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
) -> AccessRequest:
    """Take one step, compare-and-set on the request's version, record it and remember its words.

    reason  words of the act, for people; evidence gets their digest
    facts   what evidence says beside that: ids and digests
    values  further columns of the request to set
    data    what the history keeps beside the words (answers that were replaced, marked fields)
    Raises Conflict, saying what happened, when the state does not allow the act or somebody else was faster.
    """
    before = request.state
    after = act.target or before
    if before not in act.sources:
        raise await conflict(session, request, act)
    changes: dict[str, Any] = {"state": after, "version": request.version + 1, "changed_at": at}
    if act.target is not None:
        changes["reason"] = reason
    if act in _DECISIONS:
        changes |= {"decided_at": at, "decided_by": by.person_id if by else None}
    if act in ANEW:
        changes |= {"decided_at": None, "decided_by": None, "round": request.round + 1, "waiting_since": at}
    if after not in _APPEALED:  # while it goes to and fro, what was saved stays until it is sent
        changes |= {"draft": {}}
    if after is not S.IN_REVIEW:
        changes |= {"claimed_by": None}
    if after is not S.REFERRED:
        changes |= {"referred_to": None}
    await take_turn(session, request.person_id)
    key = await key_of(session, request.person_id)
    conditions = (values or {}).get("conditions")
    changes |= values or {}
    changes |= {name: key.words(changes[name]) for name in _WORDS & changes.keys()}
    changes |= {name: key.facts(changes[name]) for name in _FACTS & changes.keys()}
    compare_and_set = (
        sa.update(AccessRequest)
        .where(
            col(AccessRequest.id) == request.id,
            col(AccessRequest.version) == request.version,
            col(AccessRequest.state) == before,
        )
        .values(**changes)
        .returning(col(AccessRequest.id))
        .execution_options(synchronize_session=False)
    )
    try:
        won = await session.scalar(compare_and_set)
    except sa.exc.IntegrityError as twin:  # the unique index: one request is open for a person and a repository
        raise errors.Conflict(
            "Another request of this person is open for the repository.", next_step="Decide that one first."
        ) from twin
    if won is None:
        raise await conflict(session, request, act)
    fresh = await reload(session, request)
    await remember(
        session,
        fresh,
        act.name,
        by=by,
        before=before,
        note=key.words(reason),
        data=key.facts(data or {}),
        is_shown=act.is_shown,
    )
    await ledger.record(
        session,
        f"access:request:{act.name}",
        actor=by.person_id if by else None,
        token=by.token_id if by else None,
        repo=request.repo_id,
        subject=request.id,
        body={"before": before, "after": after, "person_id": fresh.person_id}
        | ({"reason_commitment": key.commit(reason, about=request.id)} if reason else {})
        | ({"conditions_commitment": key.commit(conditions, about=request.id)} if conditions else {})
        | (facts or {}),
    )
    return fresh


async def take_turn(session: AsyncSession, person_id: str) -> None:
    """Let nobody else change this person's requests and grants until the transaction is over.

    Whatever changes them comes here before it locks anything else, so on PostgreSQL two such transactions follow each
    other and never wait for one another; SQLite has one writer anyway.
    """
    mine = sa.select(col(Person.id)).where(col(Person.id) == person_id)
    await session.execute(mine.with_for_update(key_share=True))


async def remember(
    session: AsyncSession,
    request: AccessRequest,
    act: str,
    *,
    by: Principal | None,
    before: RequestState | None,
    note: Words | None = None,
    data: Facts | None = None,
    is_shown: bool = True,
) -> None:
    """Add what happened to the request's history, which people read."""
    session.add(
        AccessStep(
            request_id=request.id,
            act=act,
            at=request.changed_at,
            actor_id=by.person_id if by else None,
            before=before,
            after=request.state,
            note=note or "",
            data=data or {},
            is_shown=is_shown,
        )
    )


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
    return checked_words(text)


def checked_words(words: str) -> str:
    """Words that may be left out, trimmed. Raises Invalid when they are too long."""
    text = words.strip()
    if len(text) > MAX_REASON_CHARS:
        raise errors.Invalid(
            f"The reason has {len(text):,} characters; at most {MAX_REASON_CHARS:,} are kept.", next_step="Shorten it."
        )
    if "\0" in text:
        raise errors.Invalid("The text contains a NUL character.", next_step="Remove it.")
    return text


def digest_of_reason(reason: str) -> str | None:
    """What names a text to whoever has read it. Older events hold it, newer ones commitments (`PersonKey.commit`)."""
    return sha256_hex(reason.encode()) if reason else None


async def conflict(session: AsyncSession, request: AccessRequest, act: Act) -> errors.Conflict:
    """What to raise for an act that came too late: it says what happened instead."""
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
