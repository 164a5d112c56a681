"""The review queue: who asks for what, with their answers, and the decision."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import access, accounts, authz, licensing
from gatekeeper.access import AccessRequest, RequestState
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.licensing import COUNTRIES
from gatekeeper.releases import Ladder
from gatekeeper.repos import Repo
from gatekeeper.web import words
from gatekeeper.web.admin.scope import maintained, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.access import grant_end
from gatekeeper.web.portal.views import render

_PAGE = 50


@dataclass(frozen=True)
class Form:
    """What was typed, kept when it is refused."""

    ends_on: str = ""
    reason: str = ""


async def queue(call: Call) -> Response:
    """`GET /admin/requests`: waiting ones, or with `?state=decided` all others."""
    query = call.request.query_params
    is_decided = query.get("state") == "decided"
    page = await access.review_queue(
        call.session,
        repo_ids=frozenset(repo.id for repo in await maintained(call)),
        state=None if is_decided else RequestState.IN_REVIEW,
        after=query.get("after"),
        limit=_PAGE,
    )
    rows = [row for row in page.rows if (row.request.state is RequestState.IN_REVIEW) is not is_decided]
    more = f"/admin/requests?after={page.after}{'&state=decided' if is_decided else ''}" if page.after else None
    return render(
        call,
        "admin/requests.html",
        sees_all=runs_hub(call),
        decided=is_decided,
        requests=[
            {
                "id": row.request.id,
                "person": row.person.name,
                "fullname": row.person.fullname,
                "full_name": row.repo.full_name,
                "submitted_at": row.request.submitted_at,
                "facts": words.REQUEST_STATES[row.request.state],
            }
            for row in rows
        ],
        newer=None,
        older=more,
    )


async def show(call: Call) -> Response:
    """`GET /admin/requests/{id}`."""
    request, repo = await _reviewable(call)
    return await _page(call, request, repo, Form(ends_on=await _proposed_end(call, repo)))


async def _proposed_end(call: Call, repo: Repo) -> str:
    """The last day of a grant made now, as the stage of the best release has it; "" for no end."""
    instant = now()
    resource = await authz.load(call.session, call.principal, repo, instant=instant)
    known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant)
    if not repo.is_staged or known.revision is None or known.revision.stage is None:
        return ""
    rule = Ladder.load(call.gatekeeper.policies.directory).rule(known.revision.stage)
    end = grant_end(rule, instant)
    return end.date().isoformat() if end else ""


async def approve(call: Call) -> Response:
    """`POST /admin/requests/{id}/approve`."""
    request, repo = await _reviewable(call)
    sent = await forms.read(call.request)
    form = Form(ends_on=forms.text(sent, "ends_on", most=20))
    _refuse_stale(request, forms.text(sent, "version", most=20))
    try:
        ends_at = forms.last_instant(form.ends_on)
        async with call.session.begin_nested():
            await access.approve(
                call.session, request, by=call.principal, ends_at=ends_at, policy=call.gatekeeper.policies.sha256
            )
    except (ValueError, Invalid) as error:
        return await _page(call, request, repo, form, errors={"ends_on": _sentence(error)}, status=422)
    return RedirectResponse("/admin/requests?done=approved", 303)


async def reject(call: Call) -> Response:
    """`POST /admin/requests/{id}/reject`."""
    request, repo = await _reviewable(call)
    sent = await forms.read(call.request)
    form = Form(reason=forms.text(sent, "reason"))
    _refuse_stale(request, forms.text(sent, "version", most=20))
    try:
        async with call.session.begin_nested():
            await access.reject(
                call.session,
                request,
                by=call.principal,
                reason=form.reason,
                policy=call.gatekeeper.policies.sha256,
            )
    except Invalid as error:
        return await _page(call, request, repo, form, errors={"reason": error.sentence}, status=422)
    return RedirectResponse("/admin/requests?done=rejected", 303)


async def _reviewable(call: Call) -> tuple[AccessRequest, Repo]:
    """The request and its repository, once the caller may review it; for others it does not exist."""
    missing = NotFound("There is no such request.", next_step="Take it from the list of requests.")
    request = await call.session.get(AccessRequest, call.params["id"])
    repo = await call.session.get(Repo, request.repo_id) if request else None
    if request is None or repo is None or repo.deleted_at is not None:
        raise missing
    instant = now()
    resource = await authz.load(call.session, call.principal, repo, instant=instant)
    if not authz.decide(call.gatekeeper.policies, call.principal, Action.REVIEW, resource, instant):
        raise missing
    return request, repo


def _refuse_stale(request: AccessRequest, version: str) -> None:
    if version != str(request.version):
        raise Conflict(
            "This request has changed since you opened it.", next_step="Open it again and look at what happened."
        )


async def _page(
    call: Call,
    request: AccessRequest,
    repo: Repo,
    form: Form,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    session = call.session
    person = await accounts.people.get(session, request.person_id)
    assert person is not None  # the request refers to them
    earlier = await session.scalars(
        sa.select(AccessRequest)
        .where(
            col(AccessRequest.repo_id) == repo.id,
            col(AccessRequest.person_id) == person.id,
            col(AccessRequest.id) != request.id,
        )
        .order_by(col(AccessRequest.id).desc())
        .limit(10)
    )
    decider = await accounts.people.get(session, request.decided_by) if request.decided_by else None
    grant = await access.grant_in_force(session, person.id, repo.id, now())
    is_own = request.person_id == call.principal.person_id
    return render(
        call,
        "admin/request.html",
        status=status,
        id=request.id,
        version=request.version,
        person=person,
        full_name=repo.full_name,
        facts=words.REQUEST_STATES[request.state],
        answers=[(name, _answer(value)) for name, value in request.fields.items()],
        submitted_at=request.submitted_at,
        accepted_at=await _accepted_at(call, request, repo),
        earlier=[
            {"facts": words.REQUEST_STATES[row.state], "submitted_at": row.submitted_at, "reason": row.reason}
            for row in earlier
        ],
        decided_at=request.decided_at,
        decided_by=decider.name if decider else "",
        reason=request.reason,
        ends_at=grant.ends_at if grant and grant.request_id == request.id else None,
        can_decide=request.state is RequestState.IN_REVIEW and not is_own,
        why_not="This is your own request: another maintainer decides." if is_own else "",
        form=form,
        errors=errors or {},
    )


async def _accepted_at(call: Call, request: AccessRequest, repo: Repo) -> Any:
    if request.bundle_sha256 is None:
        return None
    terms = await licensing.stored(call.session, request.bundle_sha256, repo_id=repo.id)
    found = await licensing.current_acceptance(call.session, request.person_id, terms, repo=repo)
    return found.accepted_at if found else None


def _answer(value: Any) -> str:
    match value:
        case True:
            return "Yes"
        case False | None:
            return "No"
    text = str(value)
    return COUNTRIES.get(text, text)


def _sentence(error: ValueError | Invalid) -> str:
    return error.sentence if isinstance(error, Invalid) else str(error)


ROUTES = [
    guarded("/admin/requests", queue, needs=Action.USE_ACCOUNT),
    guarded("/admin/requests/{id}", show, needs=Action.USE_ACCOUNT),
    guarded("/admin/requests/{id}/approve", approve, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/admin/requests/{id}/reject", reject, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
