"""Everybody's webhooks, for whoever runs the hub: how they do, and a switch. Of addresses only the host is shown."""

from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.notices import Webhook, webhooks
from gatekeeper.web.admin.scope import names_of
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_PAGE = 50
_FAILED = "/admin/webhooks/failed"
_ERASED = "erased"


async def show(call: Call) -> Response:
    """`GET /admin/webhooks`."""
    after = call.request.query_params.get("after", "")
    page = await webhooks.list_all(call.session, after=after, limit=_PAGE)
    names = await names_of(call, (hook.owner_id for hook in page.items))
    return render(
        call,
        "admin/webhooks.html",
        hooks=[(hook, names.get(hook.owner_id, _ERASED), urlsplit(hook.url).netloc) for hook in page.items],
        newer="/admin/webhooks" if after else None,
        older=f"/admin/webhooks?after={page.after}" if page.after else None,
    )


async def failed(call: Call) -> Response:
    """`GET /admin/webhooks/failed`: deliveries that were given up, with what the address answered."""
    after = call.request.query_params.get("after")
    page = await webhooks.given_up(call.session, after=after, limit=_PAGE)
    names = await names_of(call, (hook.owner_id for _, hook in page.items))
    return render(
        call,
        "admin/webhooks_failed.html",
        rows=[
            (row, hook.disabled_at is None, names.get(hook.owner_id, _ERASED), urlsplit(hook.url).netloc)
            for row, hook in page.items
        ],
        newer=_FAILED if after else None,
        older=f"{_FAILED}?after={page.after}" if page.after else None,
    )


async def send_again(call: Call) -> Response:
    """`POST /admin/webhooks/{id}/deliveries/{delivery}/redeliver`."""
    await webhooks.redeliver(call.session, await _hook(call), call.params["delivery"], by=call.principal)
    return RedirectResponse(f"{_FAILED}?done=webhook-again", 303)


async def disable(call: Call) -> Response:
    """`POST /admin/webhooks/{id}/disable`."""
    because = "An administrator switched it off."
    await webhooks.disable(call.session, await _hook(call), by=call.principal, because=because)
    return RedirectResponse("/admin/webhooks?done=webhook-saved", 303)


async def _hook(call: Call) -> Webhook:
    hook = await call.session.get(Webhook, call.params["id"][:26])
    if hook is None:
        raise NotFound("There is no such webhook.", next_step="Look at the list of webhooks.")
    return hook


ROUTES = [
    guarded("/admin/webhooks", show, needs=Action.ADMIN_HUB),
    guarded(_FAILED, failed, needs=Action.ADMIN_HUB),
    guarded(
        "/admin/webhooks/{id}/deliveries/{delivery}/redeliver", send_again, needs=Action.ADMIN_HUB, methods=("POST",)
    ),
    guarded("/admin/webhooks/{id}/disable", disable, needs=Action.ADMIN_HUB, methods=("POST",), is_dangerous=True),
]
