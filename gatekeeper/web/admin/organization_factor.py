"""Whether an organization asks its members for a second factor, and whom that concerns."""

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PATH = "/admin/organizations/{organization}/second-factor"


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/second-factor`."""
    return await _page(call, await managed_organization(call))


async def ask(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/second-factor`: asks for it, or does so no more."""
    organization = await managed_organization(call)
    asks = forms.text(await forms.read(call.request), "asks", most=10) == "yes"
    try:
        await accounts.memberships.ask_factor(call.session, organization, asks=asks, by=call.principal)
    except Conflict as error:
        return await _page(call, organization, errors={"asks": error.sentence}, status=error.status)
    return RedirectResponse(f"/admin/organizations/{organization.name}/second-factor?done=factor-asked", 303)


async def _page(
    call: Call, organization: Organization, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return render(
        call,
        "admin/organization_factor.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        lacking=[person.name for person in await accounts.memberships.lacking(call.session, organization)],
        errors=errors or {},
    )


ROUTES = [
    # The organization is decided about in `managed_organization`.
    guarded(_PATH, show, needs=Action.USE_ACCOUNT),
    guarded(_PATH, ask, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
