"""Webhooks by API: a person's own. What they hear of is decided at each delivery."""

from starlette.responses import JSONResponse, Response

from gatekeeper.authz import Action
from gatekeeper.notices import Webhook, webhooks
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api

_PRIVATE = {"Cache-Control": "private, no-store"}


async def listing(call: Call) -> Response:
    """`GET /api/settings/webhooks`: the caller's webhooks, as a bare array without secrets."""
    hooks = await webhooks.list_for(call.session, call.principal.person_id or "")
    watched = await webhooks.watched_by(call.session, hooks)
    return JSONResponse([schemas.webhook(hook, watched[hook.id]) for hook in hooks], headers=_PRIVATE)


async def create(call: Call) -> Response:
    """`POST /api/settings/webhooks`: make a webhook; its secret is not shown again."""
    asked = schemas.parse(schemas.WebhookFields, await call.request.body())
    house = call.gatekeeper
    hook = await webhooks.create(
        call.session, asked.wanted, by=call.principal, rules=house.webhook_rules, box=house.keys.sealing
    )
    return await _answer(call, hook)


async def show(call: Call) -> Response:
    """`GET /api/settings/webhooks/{id}`: one of the caller's webhooks, without its secret."""
    return await _answer(call, await _own(call))


async def update(call: Call) -> Response:
    """`POST /api/settings/webhooks/{id}`: change a webhook; no watched things at all leaves those there are."""
    asked = schemas.parse(schemas.WebhookFields, await call.request.body())
    house = call.gatekeeper
    hook = await webhooks.update(
        call.session,
        await _own(call),
        asked.wanted,
        by=call.principal,
        rules=house.webhook_rules,
        box=house.keys.sealing,
    )
    return await _answer(call, hook)


async def enable(call: Call) -> Response:
    """`POST /api/settings/webhooks/{id}/enable`: send a webhook's deliveries again."""
    return await _answer(call, await webhooks.enable(call.session, await _own(call), by=call.principal))


async def disable(call: Call) -> Response:
    """`POST /api/settings/webhooks/{id}/disable`: send nothing to a webhook until it is enabled."""
    return await _answer(call, await webhooks.disable(call.session, await _own(call), by=call.principal))


async def delete(call: Call) -> Response:
    """`DELETE /api/settings/webhooks/{id}`: delete a webhook with its log."""
    await webhooks.delete(call.session, await _own(call), by=call.principal)
    return JSONResponse({})


async def _own(call: Call) -> Webhook:
    return await webhooks.own(call.session, call.params["id"], by=call.principal)


async def _answer(call: Call, hook: Webhook) -> Response:
    await call.session.flush()  # watches that were just added are read back
    watched = await webhooks.watched_by(call.session, [hook])
    return JSONResponse({"webhook": schemas.webhook(hook, watched[hook.id])}, headers=_PRIVATE)


_ALL = "/settings/webhooks"
_ONE = f"{_ALL}/{{id}}"

ROUTES = [
    api(_ALL, listing, needs=Action.USE_ACCOUNT),
    api(_ALL, create, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    api(_ONE, show, needs=Action.USE_ACCOUNT),
    api(_ONE, update, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    api(_ONE, delete, needs=Action.MANAGE_WEBHOOKS, methods=("DELETE",)),
    api(f"{_ONE}/enable", enable, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
    api(f"{_ONE}/disable", disable, needs=Action.MANAGE_WEBHOOKS, methods=("POST",)),
]
