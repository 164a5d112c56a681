"""Teams of an organization: who is in them, and what they are in which repository."""

from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, repos
from gatekeeper.accounts import Organization, Person, Role
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.repos import Repo, RepoKind, team_rights
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, Endpoint, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render
from gatekeeper.web.routing import RawRoute

_PATH = "/admin/organizations/{organization}/teams"
_KINDS = {"models": RepoKind.MODEL, "datasets": RepoKind.DATASET, "spaces": RepoKind.SPACE}


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/teams`."""
    return await _page(call, await managed_organization(call))


async def create(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/teams`."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    name = forms.text(sent, "name", most=100).strip()
    try:
        async with call.session.begin_nested():
            await accounts.teams.create(call.session, organization, name, by=call.principal)
    except (Invalid, Conflict) as error:
        return await _page(call, organization, sent, errors={"name": error.sentence}, status=422)
    return _back(organization)


async def delete(call: Call) -> Response:
    """`POST .../teams/{team}/delete`."""
    organization = await managed_organization(call)
    team = await accounts.teams.require(call.session, organization, call.params["team"])
    await accounts.teams.delete(call.session, organization, team, by=call.principal)
    return _back(organization)


async def add_person(call: Call) -> Response:
    """`POST .../teams/{team}/people`."""
    organization = await managed_organization(call)
    team = await accounts.teams.require(call.session, organization, call.params["team"])
    field = f"person-{team.id}"
    sent = await forms.read(call.request)
    name = forms.text(sent, field, most=60).strip()
    person = await accounts.people.find(call.session, name)
    if person is None:
        return await _page(call, organization, sent, errors={field: "There is nobody with this name."}, status=422)
    try:
        await accounts.teams.add(call.session, organization, team, person, by=call.principal)
    except Conflict as error:
        return await _page(call, organization, sent, errors={field: error.sentence}, status=422)
    return _back(organization)


async def remove_person(call: Call) -> Response:
    """`POST .../teams/{team}/people/{person}/remove`."""
    organization = await managed_organization(call)
    team = await accounts.teams.require(call.session, organization, call.params["team"])
    person = await _person(call)
    await accounts.teams.remove(call.session, organization, team, person, by=call.principal)
    return _back(organization)


async def give(call: Call) -> Response:
    """`POST .../teams/{team}/repositories`: a role in one repository, or another one than before."""
    organization = await managed_organization(call)
    team = await accounts.teams.require(call.session, organization, call.params["team"])
    form = await forms.read(call.request)
    field = f"repository-{team.id}"
    role = forms.text(form, f"role-{team.id}", most=10)
    repo = await _repository(call, organization, forms.text(form, field, most=200).strip())
    if repo is None or role not in team_rights.ROLES:
        wrong = {field: f"{organization.name} has no repository of this name."}
        return await _page(call, organization, form, errors=wrong, status=422)
    await team_rights.give(call.session, organization, team, repo, Role(role), by=call.principal)
    return _back(organization)


async def take(call: Call) -> Response:
    """`POST .../teams/{team}/repositories/{id}/remove`."""
    organization = await managed_organization(call)
    team = await accounts.teams.require(call.session, organization, call.params["team"])
    repo = await repos.by_id(call.session, call.params["id"])
    if repo is None:
        raise NotFound("The team has no rights there.", next_step="Take it from the list.")
    await team_rights.take(call.session, organization, team, repo, by=call.principal)
    return _back(organization)


async def _page(
    call: Call,
    organization: Organization,
    sent: FormData | None = None,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    rights = await team_rights.of(call.session, organization)
    rows = [
        (team, people, rights.get(team.id, [])) for team, people in await accounts.teams.of(call.session, organization)
    ]
    return render(
        call,
        "admin/organization_teams.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        teams=rows,
        typed=dict(sent or {}),
        errors=errors or {},
    )


async def _person(call: Call) -> Person:
    person = await accounts.people.find(call.session, call.params["person"])
    if person is None:
        raise NotFound("There is nobody with this name.", next_step="Take it from the list.")
    return person


async def _repository(call: Call, organization: Organization, given: str) -> Repo | None:
    """A repository of the organization by its name there; `datasets/name` and `spaces/name` are the others."""
    kind, _, name = given.rpartition("/")
    if kind not in ("", *_KINDS):
        return None
    return await repos.find(call.session, _KINDS[kind or "models"], f"{organization.name}/{name}")


def _back(organization: Organization) -> Response:
    return RedirectResponse(f"/admin/organizations/{organization.name}/teams?done=team-saved", 303)


def _change(pattern: str, endpoint: Endpoint) -> RawRoute:
    return guarded(_PATH + pattern, endpoint, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True)


ROUTES = [
    # What they concern is decided in `managed_organization`: the organization of the path.
    guarded(_PATH, show, needs=Action.USE_ACCOUNT),
    _change("", create),
    _change("/{team}/delete", delete),
    _change("/{team}/people", add_person),
    _change("/{team}/people/{person}/remove", remove_person),
    _change("/{team}/repositories", give),
    _change("/{team}/repositories/{id}/remove", take),
]
