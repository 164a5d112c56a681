"""Everybody's webhooks, for whoever runs the hub: how they do, and a switch. Of addresses only the host is shown."""

from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import RedirectResponse, Response

from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.notices import Webhook, webhooks
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_PAGE = 50


async def show(call: Call) -> Response:
    """`GET /admin/webhooks`."""
    after = call.request.query_params.get("after", "")
    page = await webhooks.list_all(call.session, after=after, limit=_PAGE)
    owners = await call.session.execute(
        sa.select(col(Person.id), col(Person.name)).where(col(Person.id).in_({hook.owner_id for hook in page.items}))
    )
    names = {row.id: row.name for row in owners}
    return render(
        call,
        "admin/webhooks.html",
        hooks=[(hook, names.get(hook.owner_id, "erased"), urlsplit(hook.url).netloc) for hook in page.items],
        newer="/admin/webhooks" if after else None,
        older=f"/admin/webhooks?after={page.after}" if page.after else None,
    )


async def disable(call: Call) -> Response:
    """`POST /admin/webhooks/{id}/disable`."""
    hook = await call.session.get(Webhook, call.params["id"][:26])
    if hook is None:
        raise NotFound("There is no such webhook.", next_step="Look at the list of webhooks.")
    await webhooks.disable(call.session, hook, by=call.principal, because="An administrator switched it off.")
    return RedirectResponse("/admin/webhooks?done=webhook-saved", 303)


ROUTES = [
    guarded("/admin/webhooks", show, needs=Action.ADMIN_HUB),
    guarded("/admin/webhooks/{id}/disable", disable, needs=Action.ADMIN_HUB, methods=("POST",), is_dangerous=True),
]
