"""Accounts of programs that an organization owns: made, given tokens and secrets, and removed by its administrators."""

from dataclasses import dataclass
from datetime import timedelta

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.kit.figures import plural
from gatekeeper.tokens import services
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PATH = "/admin/organizations/{organization}/services"
_MOST_DAYS = 90


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins."""

    name: str = ""
    scopes: tuple[str, ...] = ("read", "download")


@dataclass(frozen=True)
class Made:
    """What was made just now and is shown this once."""

    what: str
    secret: str


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/services`."""
    return await _page(call, await managed_organization(call), Form())


async def create(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/services`."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    form = Form(forms.text(sent, "name", most=100).strip(), tuple(dict.fromkeys(forms.texts(sent, "scopes"))))
    try:
        async with call.session.begin_nested():
            await services.create(call.session, organization, form.name, scopes=list(form.scopes), by=call.principal)
    except (Invalid, Conflict) as error:
        field = str(error.details.get("field", "name"))
        return await _page(call, organization, form, errors={field: error.sentence}, status=422)
    return _back(organization, "service-made")


async def issue(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/services/{id}/tokens`: the answer is the page itself."""
    organization = await managed_organization(call)
    house = call.gatekeeper
    days = min(_MOST_DAYS, house.settings.token_max_days)
    _, secret = await services.issue(
        call.session,
        organization,
        call.params["id"],
        label=f"made {now():%Y-%m-%d %H:%M:%S}",
        expires_at=now() + timedelta(days=days),
        max_days=house.settings.token_max_days,
        key=house.keys.tokens,
        by=call.principal,
    )
    return await _page(call, organization, Form(), made=Made(f"A token that ends after {plural(days, 'day')}", secret))


async def renew(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/services/{id}/secret`: the answer is the page itself."""
    organization = await managed_organization(call)
    secret = await services.renew_secret(
        call.session, organization, call.params["id"], key=call.gatekeeper.keys.tokens, by=call.principal
    )
    return await _page(call, organization, Form(), made=Made(f"The secret of client {call.params['id']}", secret))


async def revoke(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/services/tokens/{id}/revoke`."""
    organization = await managed_organization(call)
    await services.revoke(call.session, organization, call.params["id"], by=call.principal)
    return _back(organization, "token-revoked")


async def remove(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/services/{id}/remove`."""
    organization = await managed_organization(call)
    await services.remove(call.session, organization, call.params["id"], by=call.principal)
    return _back(organization, "service-removed")


async def _page(
    call: Call,
    organization: Organization,
    form: Form,
    *,
    errors: dict[str, str] | None = None,
    made: Made | None = None,
    status: int = 200,
) -> HTMLResponse:
    return render(
        call,
        "admin/organization_services.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        services=await services.list_of(call.session, organization, by=call.principal),
        offered=[scope.value for scope in services.SCOPES],
        form=form,
        made=made,
        errors=errors or {},
    )


def _back(organization: Organization, done: str) -> Response:
    return RedirectResponse(f"/admin/organizations/{organization.name}/services?done={done}", 303)


ROUTES = [
    # What they concern is decided in `managed_organization`: the organization of the path.
    guarded(_PATH, show, needs=Action.USE_ACCOUNT),
    guarded(_PATH, create, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/{{id}}/tokens", issue, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/{{id}}/secret", renew, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/{{id}}/remove", remove, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/tokens/{{id}}/revoke", revoke, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
