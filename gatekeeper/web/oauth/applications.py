"""`/settings/applications`: what I let act for me, and ending it."""

from dataclasses import dataclass
from datetime import datetime

from starlette.responses import RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render


@dataclass(frozen=True)
class Connected:
    """Something I let in, as the list shows it. `end` is where its button leads."""

    end: str
    application: str
    label: str
    scopes: tuple[str, ...]
    since: datetime
    last_used_at: datetime | None


async def show(call: Call) -> Response:
    """`GET /settings/applications`."""
    rows = await connected(call, call.principal.person_id or "", base="/settings/applications")
    return render(call, "oauth/applications.html", connected=rows)


async def connected(call: Call, person_id: str, *, base: str) -> list[Connected]:
    """Sites that somebody signs in to, one row each, and programs, one row for each login; `base` is where they end."""
    used = await oauth.grants.last_used(call.session, person_id)
    live = await oauth.grants.list_for(call.session, person_id)
    sites = await oauth.applications.consents_of(call.session, person_id)
    rows = []
    for consent, application in sites:
        times = [used[grant.id] for grant in live if grant.client_id == application.id and grant.id in used]
        end = f"{base}/sites/{application.id}/revoke"
        rows.append(
            Connected(end, application.name, "", tuple(consent.scopes), consent.given_at, max(times, default=None))
        )
    names = {application.id for _, application in sites}
    for grant in live:
        if grant.client_id not in names:
            client = await oauth.find(call.session, grant.client_id, key=call.gatekeeper.keys.tokens)
            name = client.name if client else "An application that was removed"
            end = f"{base}/{grant.id}/revoke"
            rows.append(Connected(end, name, grant.label, tuple(grant.scopes), grant.created_at, used.get(grant.id)))
    return rows


async def revoke(call: Call) -> Response:
    """`POST /settings/applications/{id}/revoke`: one login of a program."""
    await oauth.grants.revoke(call.session, call.params["id"], by=call.principal)
    return RedirectResponse("/settings/applications?done=application-revoked", 303)


async def withdraw(call: Call) -> Response:
    """`POST /settings/applications/sites/{id}/revoke`: a site, with all it got; it will ask again."""
    await oauth.applications.withdraw(call.session, call.params["id"], by=call.principal)
    return RedirectResponse("/settings/applications?done=application-revoked", 303)


ROUTES = [
    guarded("/settings/applications", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/applications/{id}/revoke", revoke, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/settings/applications/sites/{id}/revoke", withdraw, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
