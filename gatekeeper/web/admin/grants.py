"""Who has access to a repository: the list, suspending, and granting directly. Revoking is a page of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import access, accounts
from gatekeeper.access import AccessGrant
from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import beginning_at
from gatekeeper.web.asking import request_rules, stage_rule
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see

_PAGE = 100


@dataclass(frozen=True)
class Form:
    """The forms as they were sent. `reason` is that of a suspension, which the errors name."""

    person: str = ""
    ends_on: str = ""
    is_tester: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A grant in the list."""

    id: str
    person: str
    fullname: str
    is_tester: bool
    state: str
    tone: str
    granted_at: datetime
    granted_by: str
    ends_at: datetime | None
    revoke_reason: str
    is_live: bool
    is_suspended: bool


async def show(call: Call) -> Response:
    """`GET /{ns}/{name}/grants`."""
    return await _page(call, Form(ends_on=_proposed_end(call)))


async def grant(call: Call) -> Response:
    """`POST /{ns}/{name}/grants`."""
    sent = await forms.read(call.request)
    form = Form(forms.text(sent, "person", most=60).strip(), forms.text(sent, "ends_on", most=20), "is_tester" in sent)
    person = await accounts.people.find(call.session, form.person)
    if person is None:
        return await _page(call, form, errors={"person": "There is nobody with this name."}, status=422)
    try:
        ends_at = forms.last_instant(form.ends_on)
    except ValueError as error:
        return await _page(call, form, errors={"ends_on": str(error)}, status=422)
    try:
        async with call.session.begin_nested():
            made = await access.grant_directly(
                call.session,
                call.repo,
                person,
                by=call.principal,
                ends_at=ends_at,
                is_tester=form.is_tester,
                rule=access.AskRule.of(stage_rule(call)),
                rules=request_rules(call),
            )
    except (Invalid, Conflict, NotAllowed) as error:
        name = "ends_on" if isinstance(error, Invalid) else "person"
        return await _page(call, form, errors={name: error.sentence}, status=422)
    return RedirectResponse(f"{repo_url(call.repo)}/grants?done={'granted' if made else 'counted'}", 303)


def _proposed_end(call: Call) -> str:
    """The last day of a grant made now, as the stage proposes it; "" for no end."""
    days = access.AskRule.of(stage_rule(call)).grant_days
    return (now() + timedelta(days=days)).date().isoformat() if days else ""


async def suspend(call: Call) -> Response:
    """`POST /{ns}/{name}/grants/{id}/suspend`."""
    request, field = await _request(call), f"pause-{call.params['id']}"
    reason = forms.text(await forms.read(call.request), field)
    try:
        async with call.session.begin_nested():
            await access.suspend(call.session, request, by=call.principal, reason=reason)
    except Invalid as error:
        form = Form(ends_on=_proposed_end(call), reason=reason)
        return await _page(call, form, errors={field: error.sentence}, status=422)
    return RedirectResponse(f"{repo_url(call.repo)}/grants?done=access-suspended", 303)


async def resume(call: Call) -> Response:
    """`POST /{ns}/{name}/grants/{id}/resume`."""
    await access.resume(call.session, await _request(call), by=call.principal)
    return RedirectResponse(f"{repo_url(call.repo)}/grants?done=access-resumed", 303)


async def _grant(call: Call) -> AccessGrant:
    found = await call.session.get(AccessGrant, call.params["id"])
    if found is None or found.repo_id != call.repo.id:
        raise NotFound("There is no such grant.", next_step="Take it from the list of grants.")
    return found


async def _request(call: Call) -> access.AccessRequest:
    """What the grant was made for: it is suspended and resumed as a step of its request."""
    return await access.get(call.session, (await _grant(call)).request_id or "")


async def _page(call: Call, form: Form, *, errors: dict[str, str] | None = None, status: int = 200) -> HTMLResponse:
    seen = await see(call, call.repo, call.resource)
    # A form that was refused comes back at the head of the list, from wherever it was sent.
    begin = await call.session.get(AccessGrant, call.params.get("id") or call.request.query_params.get("from", ""))
    is_over, newest = col(AccessGrant.revoked_at).is_not(None), col(AccessGrant.id).desc()
    query = sa.select(AccessGrant, Person).join(Person, col(Person.id) == col(AccessGrant.person_id))
    if begin is not None:
        was_over = begin.revoked_at is not None
        query = query.where(beginning_at(is_over, col(AccessGrant.id), was_over=was_over, id=begin.id))
    listed = (
        await call.session.execute(
            query.where(col(AccessGrant.repo_id) == call.repo.id).order_by(is_over, newest).limit(_PAGE + 1)
        )
    ).all()
    rows, url = listed[:_PAGE], f"{repo_url(call.repo)}/grants"
    givers = {found.granted_by for found, _ in rows if found.granted_by}
    names = {
        row.id: row.name
        for row in await call.session.execute(
            sa.select(col(Person.id), col(Person.name)).where(col(Person.id).in_(givers))
        )
    }
    return render(
        call,
        "admin/grants.html",
        status=status,
        head=seen.head,
        grants=[_row(found, person, names) for found, person in rows],
        first=url if begin else None,
        more=f"{url}?from={listed[_PAGE][0].id}" if len(listed) > _PAGE else None,
        form=form,
        errors=errors or {},
    )


def _row(found: AccessGrant, person: Person, names: dict[str, str]) -> Row:
    is_suspended = found.suspended_at is not None
    is_over = found.ends_at is not None and found.ends_at <= now()
    state, tone = ("In force", "ok")
    if found.revoked_at is not None:
        state, tone = ("Revoked", "stop") if found.revoke_reason else ("Ended", "")
    elif is_over:
        state, tone = ("Expired", "warn")
    elif is_suspended:
        state, tone = ("Suspended", "stop")
    return Row(
        found.id,
        person.name,
        person.fullname,
        found.is_tester,
        state,
        tone,
        found.granted_at,
        names.get(found.granted_by or "", ""),
        found.ends_at,
        found.revoke_reason,
        found.revoked_at is None and not is_over,
        is_suspended,
    )


ROUTES = [
    *for_kinds("/{ns}/{name}/grants", show, needs=Action.REVIEW),
    *for_kinds("/{ns}/{name}/grants", grant, needs=Action.REVIEW, methods=("POST",)),
    *for_kinds("/{ns}/{name}/grants/{id}/suspend", suspend, needs=Action.REVIEW, methods=("POST",)),
    *for_kinds("/{ns}/{name}/grants/{id}/resume", resume, needs=Action.REVIEW, methods=("POST",)),
]
