"""A person's request for a repository: submit, decide, withdraw. One is open for a person and a repository."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, ledger, licensing
from gatekeeper.access import moves
from gatekeeper.access.grants import check_end, end_grant, grant_in_force, latest_request, open_grant
from gatekeeper.access.tables import AccessGrant, AccessRequest, RequestState
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Form, Terms
from gatekeeper.repos.tables import Gate, Repo


def is_gated(repo: Repo) -> bool:
    """Whether access to this repository is something to ask for."""
    return repo.is_staged or repo.gate is not Gate.NONE


async def submit(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    *,
    fields: Mapping[str, Any] | None,
    bundle: Terms | None,
    form: Form | None = None,
    is_automatic: bool = False,
    ends_at: datetime | None = None,
    policy: str | None = None,
) -> AccessRequest:
    """Ask for access. Needs answers to every question and accepted terms.

    form          the questions where the card has none of its own
    is_automatic  the stage's rule approves without review; a repository gated `auto` without stages always does
    ends_at       end of an automatic approval's grant
    Raises Conflict when a request is open, access is there already, or an earlier request was turned down.
    """
    if principal.person_id is None:
        raise errors.NotSignedIn("Access is given to a person.", next_step="Sign in, then ask for access.")
    _must_be_gated(repo)
    at = now()
    if await grant_in_force(session, principal.person_id, repo.id, at) is not None:
        raise errors.Conflict(
            f"You have access to {repo.full_name} already.", next_step="Use it: there is nothing to ask for."
        )
    last = await latest_request(session, principal.person_id, repo.id)
    if last is not None:
        await _retire(session, last, repo, at)
    asked = bundle.form if bundle and bundle.form.fields else form or Form()
    answers = asked.validate(fields or {})
    if (
        bundle
        and bundle.need_acceptance
        and await licensing.current_acceptance(session, principal.person_id, bundle, repo=repo) is None
    ):
        raise errors.Invalid(
            f"The terms of {repo.full_name} are not accepted yet.",
            status=422,
            next_step="Read the terms and accept each text, then ask for access.",
            details={"texts": {document.sha256: document.title for document in bundle.documents}},
        )
    request = AccessRequest(
        repo_id=repo.id,
        person_id=principal.person_id,
        fields=answers,
        bundle_sha256=bundle.sha256 if bundle else None,
        submitted_at=at,
    )
    session.add(request)
    try:
        await session.flush()  # the unique index decides between two submissions at once
    except sa.exc.IntegrityError as twin:
        raise errors.Conflict(
            f"A request of yours for {repo.full_name} is open already.",
            next_step="Wait for its answer, or withdraw it.",
        ) from twin
    await ledger.record(
        session,
        "access:request:submit",
        actor=principal.person_id,
        token=principal.token_id,
        repo=repo.id,
        subject=request.id,
        body={
            "before": None,
            "after": RequestState.IN_REVIEW,
            "bundle_sha256": request.bundle_sha256,
            "questions": len(answers),
        },
        policy=policy,
    )
    if is_automatic or (not repo.is_staged and repo.gate is Gate.AUTO):
        request = await _activate(session, request, by=None, ends_at=ends_at, at=at, policy=policy)
    return request


async def approve(
    session: AsyncSession,
    request: AccessRequest,
    *,
    by: Principal,
    ends_at: datetime | None = None,
    is_tester: bool = False,
    policy: str | None = None,
) -> AccessGrant:
    """Give what was asked for, until `ends_at` if that is set. Also turns a rejection or a revocation around."""
    _not_applicant(request, by)
    at = now()
    check_end(ends_at, at)
    fresh = await _activate(session, request, by=by, ends_at=ends_at, at=at, is_tester=is_tester, policy=policy)
    grant = await grant_in_force(session, fresh.person_id, fresh.repo_id, at)
    assert grant is not None
    return grant


async def reject(
    session: AsyncSession, request: AccessRequest, *, by: Principal, reason: str, policy: str | None = None
) -> AccessRequest:
    """Turn the request down, with a reason that the applicant reads."""
    _not_applicant(request, by)
    reason = moves.checked_reason(reason, what="A rejection")
    return await moves.step(session, request, moves.REJECT, by=by, at=now(), reason=reason, policy=policy)


async def cancel(
    session: AsyncSession, request: AccessRequest, *, by: Principal, policy: str | None = None
) -> AccessRequest:
    """Take a decision back: the request is in review again, and a grant it led to ends."""
    _not_applicant(request, by)
    at = now()
    last = await latest_request(session, request.person_id, request.repo_id)
    if last is not None and last.id != request.id:
        raise errors.Conflict(
            "The applicant has asked again since.",
            next_step="Decide the newer request.",
            details={"request_id": last.id},
        )
    await end_grant(session, request, at=at, reason="cancelled")
    return await moves.step(session, request, moves.CANCEL, by=by, at=at, policy=policy)


async def withdraw(session: AsyncSession, request: AccessRequest, *, by: Principal) -> AccessRequest:
    """The applicant takes the open request back."""
    if by.person_id != request.person_id:
        raise errors.NotAllowed(
            "Only the applicant can withdraw a request.", next_step="Reject it if it should not be granted."
        )
    return await moves.step(session, request, moves.WITHDRAW, by=by, at=now())


async def get(session: AsyncSession, request_id: str) -> AccessRequest:
    """A request by id. Raises NotFound."""
    request = await session.get(AccessRequest, request_id)
    if request is None:
        raise errors.NotFound("There is no such request.", next_step="Take it from the list of requests.")
    return request


async def _activate(
    session: AsyncSession,
    request: AccessRequest,
    *,
    by: Principal | None,
    ends_at: datetime | None,
    at: datetime,
    is_tester: bool = False,
    policy: str | None = None,
) -> AccessRequest:
    facts = {"ends_at": ends_at, "is_tester": is_tester, "is_automatic": by is None}
    fresh = await moves.step(session, request, moves.APPROVE, by=by, at=at, facts=facts, policy=policy)
    await open_grant(session, fresh, by=by, at=at, ends_at=ends_at, is_tester=is_tester, policy=policy)
    return fresh


async def _retire(session: AsyncSession, last: AccessRequest, repo: Repo, at: datetime) -> None:
    """Make room for a new request, or say why there is none."""
    match last.state:
        case RequestState.IN_REVIEW:
            raise errors.Conflict(
                f"Your request for {repo.full_name} is open already.",
                next_step="Wait for its answer, or withdraw it.",
                details={"request_id": last.id},
            )
        case RequestState.REJECTED | RequestState.REVOKED:
            reason = f" The reason given: {last.reason}" if last.reason else ""
            raise errors.Conflict(
                f"Your request for {repo.full_name} was turned down.{reason}"
                if last.state is RequestState.REJECTED
                else f"Your access to {repo.full_name} was revoked.{reason}",
                next_step="Write to the maintainers: they can take the decision back.",
                details={"request_id": last.id},
            )
        case RequestState.ACTIVE:  # its grant has run out
            await moves.step(session, last, moves.EXPIRE, by=None, at=at)


def _must_be_gated(repo: Repo) -> None:
    if not is_gated(repo):
        raise errors.Invalid(
            f"{repo.full_name} is not gated, so there is no access to ask for.", next_step="Download it as it is."
        )


def _not_applicant(request: AccessRequest, by: Principal) -> None:
    if by.person_id is not None and by.person_id == request.person_id:
        raise errors.NotAllowed(
            "Nobody decides about their own request.", next_step="Ask another maintainer of the repository."
        )
