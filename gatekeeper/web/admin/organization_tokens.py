"""What an organization demands of tokens that reach it, and those that do."""

from dataclasses import dataclass

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import tokens
from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid
from gatekeeper.tokens import Verdict, approval
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PATH = "/admin/organizations/{organization}/tokens"
# How a token stands to the organization, for people: a word and a color.
_STATES = {
    "open": ("Reaches it", "ok"),
    "approved": ("Approved", "ok"),
    "waiting": ("Waits for approval", "warn"),
    "refused": ("Shut out", "stop"),
    "too-long": ("Lives too long", "warn"),
}


@dataclass(frozen=True)
class Form:
    """What is demanded, as it was sent or as it stands."""

    needs_approval: bool
    max_days: str


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/tokens`."""
    organization = await managed_organization(call)
    policy = await approval.policy_of(call.session, organization)
    return await _page(call, organization, Form(policy.needs_approval, str(policy.max_days or "")))


async def demand(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/tokens`."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    days = forms.text(sent, "max_days", most=10).strip()
    form = Form(forms.text(sent, "needs_approval", most=10) == "yes", days)
    if days and not (days.isascii() and days.isdigit()):
        wrong = {"max_days": "Write a number of days, or nothing."}
        return await _page(call, organization, form, errors=wrong, status=422)
    try:
        await approval.set_policy(
            call.session,
            organization,
            needs_approval=form.needs_approval,
            max_days=int(days) if days else None,
            by=call.principal,
        )
    except Invalid as error:
        return await _page(call, organization, form, errors={"max_days": error.sentence}, status=422)
    return _back(organization, "token-policy")


async def decide(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/tokens/{id}`: approve it, or shut it out."""
    organization = await managed_organization(call)
    sent = await forms.read(call.request)
    verdict = forms.text(sent, "verdict", most=20)
    if verdict not in set(Verdict):
        raise Invalid("Nothing was decided.", next_step="Use the buttons of the page.")
    await approval.decide(call.session, organization, call.params["id"], Verdict(verdict), by=call.principal)
    return _back(organization, f"token-{verdict}")


async def _page(
    call: Call, organization: Organization, form: Form, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    rows = await approval.reaching(call.session, organization, by=call.principal)
    return render(
        call,
        "admin/organization_tokens.html",
        sees_all=runs_hub(call),
        status=status,
        organization=organization,
        rows=[(row, tokens.limits.reach_of(row.token) is None, *_STATES[row.state]) for row in rows],
        form=form,
        errors=errors or {},
    )


def _back(organization: Organization, done: str) -> Response:
    return RedirectResponse(f"/admin/organizations/{organization.name}/tokens?done={done}", 303)


ROUTES = [
    # What they concern is decided in `managed_organization`: the organization of the path.
    guarded(_PATH, show, needs=Action.USE_ACCOUNT),
    guarded(_PATH, demand, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/{{id}}", decide, needs=Action.USE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
