"""What an organization asks for at each stage beyond the ladder of the hub."""

from collections.abc import Mapping

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import releases
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.releases import Stage
from gatekeeper.web import words
from gatekeeper.web.admin.release import ladder
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_NUMBERS = ("approvals", "soak_days", "testers")


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/ladder`."""
    return await _page(call, await managed_organization(call))


async def save(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/ladder`: one stage's numbers."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    stage = forms.text(sent, "stage", most=40)
    if stage not in set(Stage):
        raise Invalid("There is no such stage.", next_step="Use the page's own form.")
    numbers: dict[str, int] = {}
    for name in _NUMBERS:
        text = forms.text(sent, f"{name}-{stage}", most=20).strip() or "0"
        if not text.isascii() or not text.isdigit():
            return await _page(
                call, organization, errors={f"{name}-{stage}": "This must be a whole number."}, status=422
            )
        numbers[name] = int(text)
    try:
        async with call.session.begin_nested():
            await releases.set_rule(
                call.session,
                organization,
                Stage(stage),
                by=call.principal,
                ladder=ladder(call),
                sole_maintainer=forms.text(sent, f"second-{stage}", most=5) != "yes",
                approvals=numbers["approvals"],
                soak_days=numbers["soak_days"],
                testers=numbers["testers"],
            )
    except Invalid as error:
        field = next((name for name in _NUMBERS if name in error.message), _NUMBERS[0])
        return await _page(call, organization, errors={f"{field}-{stage}": error.sentence}, status=422)
    return RedirectResponse(f"/admin/organizations/{organization.name}/ladder?done=ladder-saved", 303)


async def _page(
    call: Call, organization: Organization, *, errors: Mapping[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    hub = ladder(call)
    own = await releases.ladder_of(call.session, organization.id, hub)
    rows = [(stage.value, words.STAGES[stage].label, own.rule(stage), hub.rule(stage)) for stage in own.stages[1:]]
    return render(
        call,
        "admin/organization_ladder.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        rows=rows,
        errors=errors or {},
    )


_ADDRESS = "/admin/organizations/{organization}/ladder"

ROUTES = [
    guarded(_ADDRESS, show, needs=Action.USE_ACCOUNT),
    guarded(_ADDRESS, save, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
