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
    """One grant of mine, as the list shows it."""

    id: str
    application: str
    label: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None


async def show(call: Call) -> Response:
    """`GET /settings/applications`."""
    person_id = call.principal.person_id or ""
    used = await oauth.grants.last_used(call.session, person_id)
    rows = []
    for grant in await oauth.grants.list_for(call.session, person_id):
        client = await oauth.find(call.session, grant.client_id, key=call.gatekeeper.keys.tokens)
        name = client.name if client else "An application that was removed"
        rows.append(Connected(grant.id, name, grant.label, tuple(grant.scopes), grant.created_at, used.get(grant.id)))
    return render(call, "oauth/applications.html", connected=rows)


async def revoke(call: Call) -> Response:
    """`POST /settings/applications/{id}/revoke`."""
    await oauth.grants.revoke(call.session, call.params["id"], by=call.principal)
    return RedirectResponse("/settings/applications?done=application-revoked", 303)


ROUTES = [
    guarded("/settings/applications", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/applications/{id}/revoke", revoke, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
