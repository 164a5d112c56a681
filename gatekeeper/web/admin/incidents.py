"""Incidents in one's care: the list, the form that opens one, and the page of one with its links and its timeline."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import authz, incidents
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.incidents import Incident, IncidentState, Severity
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, key_of
from gatekeeper.web import incident_words as words
from gatekeeper.web.admin.incident_links import link_views
from gatekeeper.web.admin.scope import PAGE, decided, in_care, names_of, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url

_SHOWN = {
    "waiting": incidents.WAITING,
    "closed": (IncidentState.CLOSED, IncidentState.DISMISSED),
}


@dataclass(frozen=True)
class Form:
    """The form that opens an incident, as it was sent."""

    title: str = ""
    severity: str = Severity.MEDIUM.value
    repository: str = ""
    description: str = ""


@dataclass(frozen=True)
class StepView:
    """A line of the timeline."""

    at: datetime
    text: str
    by: str
    note: str
    data: dict[str, Any] = field(default_factory=dict)
    about: str = ""


async def listing(call: Call) -> Response:
    """`GET /admin/incidents`: what waits; `?state=closed` what is over."""
    query = call.request.query_params
    state = query.get("state", "") if query.get("state", "") in _SHOWN else "waiting"
    page = await incidents.listing(
        call.session, repos=cared_for(call), states=_SHOWN[state], after=query.get("after"), limit=PAGE
    )
    repos = await _repos(call, {each.repo_id for each in page.items})
    return render(
        call,
        "admin/incidents.html",
        sees_all=runs_hub(call),
        state=state,
        rows=[
            {
                "row": each,
                "repo": repos[each.repo_id].full_name if each.repo_id in repos else "",
                "state": words.STATES[each.state],
                "severity": words.SEVERITIES[each.severity],
            }
            for each in page.items
            if each.repo_id in repos or runs_incidents(call)
        ],
        newer=f"/admin/incidents?{urlencode({'state': state})}" if query.get("after") else None,
        older=f"/admin/incidents?{urlencode({'state': state, 'after': page.after})}" if page.after else None,
    )


async def new(call: Call) -> Response:
    """`GET /admin/incidents/new`; `?repository=` fills in the name."""
    return _form(call, Form(repository=call.request.query_params.get("repository", "")[:200]))


async def open_incident(call: Call) -> Response:
    """`POST /admin/incidents`."""
    sent = await forms.read(call.request)
    form = Form(
        forms.text(sent, "title", most=500),
        forms.text(sent, "severity", most=20),
        forms.text(sent, "repository", most=200).strip(),
        forms.text(sent, "description"),
    )
    if form.severity not in set(Severity):
        return _form(call, form, errors={"severity": "Choose from the list."})
    repo = await repo_named(call, form.repository) if form.repository else None
    if repo is None and (form.repository or not runs_incidents(call)):
        return _form(call, form, errors={"repository": "There is no such repository in your care."})
    try:
        async with call.session.begin_nested():
            made = await incidents.open_incident(
                call.session,
                repo,
                title=form.title,
                description=form.description,
                severity=Severity(form.severity),
                by=call.principal,
            )
    except Invalid as error:
        name = "title" if error.message.startswith("The title") else "description"
        return _form(call, form, errors={name: error.sentence})
    return RedirectResponse(f"/admin/incidents/{made.id}?done=incident-opened", 303)


async def show(call: Call) -> Response:
    """`GET /admin/incidents/{id}`."""
    return await incident_page(call, await incident_of(call))


def runs_incidents(call: Call) -> bool:
    """Whether the caller handles incidents of the hub itself, and therefore all."""
    hub = authz.Hub(call.principal.person_id)
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.ADMIN_HUB, hub, now()))


def cared_for(call: Call) -> sa.ColumnElement[bool] | None:
    """The condition on repositories whose incidents the caller handles; None for all."""
    return None if runs_incidents(call) else in_care(call, Action.HANDLE_INCIDENTS)


async def incident_of(call: Call) -> Incident:
    """The incident of the address, for its handlers; for others there is none."""
    found = await incidents.get(call.session, call.params["id"])
    if found.repo_id not in await _repos(call, {found.repo_id}) and not runs_incidents(call):
        raise NotFound("There is no such incident.", next_step="Take it from the list of incidents.")
    return found


async def has_links_elsewhere(call: Call, incident: Incident) -> bool:
    """Whether it is linked to repositories whose incidents the caller does not handle."""
    linked = {each.repo_id for each in await incidents.links_of(call.session, incident)} - {None}
    return not runs_incidents(call) and not linked <= (await _repos(call, linked)).keys()


async def repo_named(call: Call, name: str) -> Repo | None:
    """The repository of this name, if the caller handles its incidents."""
    keys = [key_of(kind, name) for kind in RepoKind]
    found = await call.session.scalars(sa.select(Repo).where(col(Repo.key).in_(keys)).order_by(col(Repo.key)))
    may = await decided(call, found.all(), Action.HANDLE_INCIDENTS)
    return may[0] if may else None


async def incident_page(
    call: Call,
    incident: Incident,
    sent: FormData | None = None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The page of one incident; what was sent from one of its forms stays, with what is wrong beside it."""
    links = await incidents.links_of(call.session, incident)
    repos = await _repos(call, {incident.repo_id, *(each.repo_id for each in links)})
    seen = [each for each in links if each.repo_id is None or each.repo_id in repos]
    steps = await incidents.timeline(call.session, incident)
    names = await names_of(
        call, [incident.reporter_id, *(each.actor_id for each in steps), *(each.person_id for each in seen)]
    )
    repo = repos.get(incident.repo_id or "")
    views = await link_views(call, seen, repos, names, is_open=incident.state is IncidentState.OPEN)
    titles = {each.target: f"{view.kind}: {view.title}" for each, view in zip(seen, views, strict=True)}
    return render(
        call,
        "admin/incident.html",
        status=status,
        sees_all=runs_hub(call),
        incident=incident,
        state=words.STATES[incident.state],
        severity=words.SEVERITIES[incident.severity],
        severities=_severities(),
        repo=repo,
        repo_href=repo_url(repo) if repo else "",
        reporter=names.get(incident.reporter_id or "", "Somebody without an account"),
        links=views,
        hidden=len(links) - len(seen),
        steps=[
            StepView(
                each.at,
                words.ACTS[each.act],
                names.get(each.actor_id or "", "somebody"),
                each.note,
                each.data,
                titles.get(each.data.get("target") or each.data.get("grant_id", ""), ""),
            )
            for each in steps
        ],
        kinds=words.KINDS,
        most_message=incidents.MOST_MESSAGE,
        typed=dict(sent or {}),
        errors=errors or {},
    )


async def _repos(call: Call, ids: set[str | None]) -> dict[str | None, Repo]:
    """Those of these repositories whose incidents the caller handles, by id."""
    found = await call.session.scalars(sa.select(Repo).where(col(Repo.id).in_({id for id in ids if id})))
    return {repo.id: repo for repo in await decided(call, found.all(), Action.HANDLE_INCIDENTS)}


def _form(call: Call, form: Form, *, errors: dict[str, str] | None = None) -> HTMLResponse:
    return render(
        call,
        "admin/incident_new.html",
        status=422 if errors else 200,
        sees_all=runs_hub(call),
        form=form,
        severities=_severities(),
        needs_repository=not runs_incidents(call),
        errors=errors or {},
    )


def _severities() -> list[tuple[str, str]]:
    return [(severity.value, text) for severity, (text, _) in words.SEVERITIES.items()]


ROUTES = [
    guarded("/admin/incidents", listing, needs=Action.USE_ACCOUNT),
    guarded("/admin/incidents", open_incident, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/admin/incidents/new", new, needs=Action.USE_ACCOUNT),
    guarded("/admin/incidents/{id}", show, needs=Action.USE_ACCOUNT),
]
