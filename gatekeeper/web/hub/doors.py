"""How the Hub's addresses become guarded routes, and what its clients need to see when they are refused."""

import re
from dataclasses import replace
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gatekeeper.authz import Action
from gatekeeper.errors import EntryNotFound, Gated
from gatekeeper.web.guard import Call, Endpoint, guarded
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.respond import error_json, has_credential
from gatekeeper.web.routing import RawRoute

_PATH = re.compile(r"(?:^| )/(?=\w)")


def api(pattern: str, endpoint: Endpoint, *, needs: Action | None, **options: Any) -> RawRoute:
    """A route below `/api`. Options are those of `guarded`."""
    return _with_hub_refusals(guarded(f"/api{pattern}", endpoint, needs=needs, **options))


def bare(pattern: str, endpoint: Endpoint, *, needs: Action | None, **options: Any) -> list[RawRoute]:
    """Routes under a repository's own address, of every kind."""
    return [_with_hub_refusals(route) for route in for_kinds(pattern, endpoint, needs=needs, **options)]


def _with_hub_refusals(route: RawRoute) -> RawRoute:
    """Say refusals at a gate with the whole address of where to ask, for clients print them as they are."""
    handler = route.handler

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await handler(scope, receive, send)
        except Gated as refusal:
            raise gate_refusal(refusal, scope) from refusal

    return replace(route, handler=handle)


def gate_refusal(refusal: Gated, scope: Scope) -> Gated:
    """`refusal` with whole addresses: what a terminal prints must lead somewhere."""
    public_url = scope["app"].state.gatekeeper.settings.public_url
    return Gated(
        _PATH.sub(f" {public_url}/", refusal.message),
        next_step=_PATH.sub(f" {public_url}/", refusal.next_step),
        code=refusal.code,
        status=refusal.status,
        rules=refusal.rules,
        details=refusal.details,
    )


def absent(call: Call, error: EntryNotFound) -> Response:
    """The answer for a path that a revision lacks. It names the revision, so that clients remember the absence."""
    response = error_json(error, has_credential=has_credential(call.request))
    response.headers["X-Repo-Commit"] = call.commit or ""
    return response
