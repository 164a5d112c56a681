"""Another name for an organization, and its end: what either does is said before it is done."""

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import owners
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PATH = "/admin/organizations/{organization}"


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/change`: what a new name or the end would do."""
    return await _page(call, await managed_organization(call))


async def rename(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/rename`."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    name = forms.text(sent, "name", most=100).strip()
    try:
        async with call.session.begin_nested():
            await owners.rename(call.session, organization, name, by=call.principal)
    except (Conflict, Invalid) as error:
        await call.session.refresh(organization)
        return await _page(call, organization, name=name, errors={"name": error.sentence}, status=422)
    return RedirectResponse("/admin/organizations?done=organization-renamed", 303)


async def delete(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/delete`: takes its name, typed, for there is no way back."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    try:
        if forms.text(sent, "confirm", most=100).strip() != organization.name:
            raise Invalid("This is not its name.", next_step="Type it as it is.", status=422)
        async with call.session.begin_nested():
            await owners.delete(call.session, organization, by=call.principal)
    except (Conflict, Invalid) as error:
        return await _page(call, organization, errors={"confirm": error.sentence}, status=error.status)
    return RedirectResponse("/admin/organizations?done=organization-deleted", 303)


async def _page(
    call: Call, organization: Organization, *, name: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return render(
        call,
        "admin/organization_change.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        foreseen=await owners.foresee(call.session, organization),
        name=name,
        errors=errors or {},
    )


ROUTES = [
    # The organization is decided about in `managed_organization`.
    guarded(f"{_PATH}/change", show, needs=Action.USE_ACCOUNT, is_dangerous=True),
    guarded(f"{_PATH}/rename", rename, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/delete", delete, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
