"""What an applicant does: write a draft, ask, correct, take back. One request is open for a person and a repository."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, jobs, ledger
from gatekeeper.access import activation, decisions, gate, moves, screening
from gatekeeper.access.gate import AskRule
from gatekeeper.access.grants import latest_request
from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.canonical import digest_of
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Form, Terms
from gatekeeper.repos.tables import Gate, Repo

OVERDUE = "access:overdue"  # kind of the jobs that tell of an answer that is late

_IN_HAND = (RequestState.DRAFT, RequestState.RETURNED)


async def save(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    *,
    fields: Mapping[str, Any] | None,
    bundle: Terms | None,
    form: Form | None = None,
    is_renewal: bool = False,
) -> AccessRequest:
    """Keep answers that are not sent yet; only their author sees them. Raises Invalid for what no question asks.

    Those of a returned request lie beside what was sent, which its reviewers read until it is sent again.
    """
    at = now()
    person_id = _person(principal)
    gate.must_be_gated(repo)
    answers = _asked(bundle, form).drafted(fields or {})
    last = await latest_request(session, person_id, repo.id)
    if last is not None and last.state is RequestState.RETURNED:
        return await moves.step(session, last, moves.SAVE, by=principal, at=at, values={"draft": answers})
    if last is None or last.state is not RequestState.DRAFT:
        predecessor = await gate.room_for_another(session, last, person_id, repo, at, is_renewal=is_renewal)
        last = await _create(session, principal, repo, predecessor, at)
    return await moves.step(session, last, moves.SAVE, by=principal, at=at, values={"fields": answers})


async def submit(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    *,
    fields: Mapping[str, Any] | None,
    bundle: Terms | None,
    form: Form | None = None,
    rule: AskRule | None = None,
    is_renewal: bool = False,
    rules: Rules | None = None,
) -> AccessRequest:
    """Ask for access, or answer a request that was returned. Needs an answer to every question and accepted terms.

    form        the questions; None: the card's own
    is_renewal  ask for what comes after access that is there; without it, having access is a reason not to ask
    Raises Conflict when a request is open, access is there already, or an earlier request was turned down.
    """
    at = now()
    rule, rules = rule or AskRule(), rules or Rules.load()
    person_id = _person(principal)
    gate.must_be_gated(repo)
    last = await latest_request(session, person_id, repo.id)
    predecessor = None
    if last is None or last.state is not RequestState.RETURNED:
        if last is not None and last.state is RequestState.DRAFT:
            is_renewal = is_renewal or last.predecessor_id is not None
        predecessor = await gate.room_for_another(session, last, person_id, repo, at, is_renewal=is_renewal)
    asked = _asked(bundle, form)
    answers = asked.validate(fields or {})
    await gate.must_have_accepted(session, person_id, repo, bundle)
    if last is None or last.state not in _IN_HAND:
        await gate.must_not_flood(session, person_id, rules)
        last = await _create(session, principal, repo, predecessor, at)
    request = await _submitted(session, last, principal, answers, bundle, asked, rule, at)
    verdict = await screening.screen(session, request, repo, asked, rules, stage=rule.stage, at=at)
    request = await moves.step(
        session,
        request,
        moves.SCREEN,
        by=None,
        at=at,
        facts={"rules": list(verdict.rules), "is_flagged": verdict.is_flagged},
        values={
            "screened": list(verdict.rules),
            "is_flagged": verdict.is_flagged,
            "queue": verdict.queue or (request.queue if request.screened else rules.queues[0].name),
        },
    )
    if verdict.reject_reason:
        return await moves.step(session, request, moves.REJECT, by=None, at=at, reason=verdict.reject_reason)
    is_automatic = rule.is_automatic or (not repo.is_staged and repo.gate is Gate.AUTO)
    is_automatic = is_automatic or (verdict.is_approved and rule.approvals <= 1)
    if is_automatic and not verdict.is_flagged and not await decisions.needs_reviewer(session, request):
        return await activation.approved(
            session, request, by=None, at=at, ends_at=activation.proposed_end(request, at), rules=rules
        )
    await jobs.enqueue(
        session,
        OVERDUE,
        {"request_id": request.id, "round": request.round},
        run_at=at + timedelta(days=rules.service_days(request.queue)),
    )
    return request


async def correct(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """The applicant takes a request that nobody decided yet back into their hands, to change the answers."""
    _own(request, by, "correct a request")
    return await moves.step(session, request, moves.CORRECT, by=by, at=now())


async def withdraw(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """The applicant takes the open request back, or throws a draft away. Without its appeal a decision stands again."""
    _own(request, by, "withdraw a request")
    against = await decisions.appealed_against(session, request)
    if against is None:
        return await moves.step(session, request, moves.WITHDRAW, by=by, at=now())
    act = moves.ACCEPT_REJECTION if against.act == moves.REJECT.name else moves.ACCEPT_REVOCATION
    as_decided = {"reason": against.note, "decided_at": against.at, "decided_by": against.actor_id}
    return await moves.step(session, request, act, by=by, at=now(), values=as_decided)


async def get(session: AsyncSession, request_id: str) -> AccessRequest:
    """A request by id. Raises NotFound."""
    request = await session.get(AccessRequest, request_id)
    if request is None:
        raise errors.NotFound("There is no such request.", next_step="Take it from the list of requests.")
    return request


async def _submitted(
    session: AsyncSession,
    request: AccessRequest,
    principal: Principal,
    answers: dict[str, Any],
    bundle: Terms | None,
    asked: Form,
    rule: AskRule,
    at: datetime,
) -> AccessRequest:
    """The step itself. Evidence commits to the answers by a salted digest; replaced answers stay in the history."""
    salt = secrets.token_hex(16)
    bundle_sha256 = bundle.sha256 if bundle else None
    is_first = request.state is RequestState.DRAFT
    return await moves.step(
        session,
        request,
        moves.SUBMIT,
        by=principal,
        at=at,
        facts={
            "bundle_sha256": bundle_sha256,
            "form_sha256": asked.sha256,
            "questions": len(answers),
            "answers_sha256": digest_of({"salt": salt, "answers": answers}),
        },
        values={
            "fields": answers,
            "draft": {},
            "bundle_sha256": bundle_sha256,
            "form_sha256": asked.sha256,
            "approvals_needed": rule.approvals,
            "grant_days": rule.grant_days,
            "required": list(rule.required),
        }
        | ({"submitted_at": at} if is_first else {}),
        data={"salt": salt} | ({} if is_first else {"before": request.fields}),
    )


async def _create(
    session: AsyncSession, principal: Principal, repo: Repo, predecessor: AccessRequest | None, at: datetime
) -> AccessRequest:
    """A draft, which may be submitted at once. A request that follows access names its predecessor."""
    request = AccessRequest(
        repo_id=repo.id,
        person_id=_person(principal),
        state=RequestState.DRAFT,
        submitted_at=at,
        changed_at=at,
        predecessor_id=predecessor.id if predecessor else None,
    )
    session.add(request)
    try:
        await session.flush()  # the unique index decides between two at once
    except sa.exc.IntegrityError as twin:
        raise errors.Conflict(
            f"A request of yours for {repo.full_name} is open already.",
            next_step="Wait for its answer, or withdraw it.",
        ) from twin
    act = "renew" if predecessor else "create"
    await moves.remember(session, request, act, by=principal, before=None)
    await ledger.record(
        session,
        f"access:request:{act}",
        actor=principal.person_id,
        token=principal.token_id,
        repo=repo.id,
        subject=request.id,
        body={"before": None, "after": RequestState.DRAFT, "person_id": request.person_id}
        | ({"predecessor_id": predecessor.id} if predecessor else {}),
    )
    return request


def _asked(bundle: Terms | None, form: Form | None) -> Form:
    return form or (bundle.form if bundle else Form())


def _person(principal: Principal) -> str:
    if principal.person_id is None:
        raise errors.NotSignedIn("Access is given to a person.", next_step="Sign in, then ask for access.")
    return principal.person_id


def _own(request: AccessRequest, by: Principal, what: str) -> None:
    if by.person_id != request.person_id:
        raise errors.NotAllowed(f"Only the applicant can {what}.", next_step="Reject it if it should not be granted.")
