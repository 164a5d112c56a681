"""Refusals as the OpenAI client reads them: an error object, and whether it may try again by itself."""

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gatekeeper.errors import Gated, GatekeeperError, TooMany, Unavailable
from gatekeeper.web.generate.rates import rate_headers
from gatekeeper.web.hub.doors import gate_refusal
from gatekeeper.web.respond import error_headers, has_credential, status_for
from gatekeeper.web.routing import RawRoute

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_SHORT_SECONDS = 60
# What may be different in a moment although nobody does anything. The client repeats other 409, 429 and 5xx, too.
_PASSING = ("ModelLoading", "Unavailable", "StillRunning", "Interrupted")


def for_openai(route: RawRoute) -> RawRoute:
    """The route with its refusals in the form of that API."""
    handler = route.handler

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await handler(scope, receive, send)
        except GatekeeperError as error:
            known = gate_refusal(error, scope) if isinstance(error, Gated) else error
            await _answer(Request(scope), known)(scope, receive, send)

    return replace(route, handler=handle)


def error_object(error: GatekeeperError) -> dict[str, Any]:
    """`{"message","type","param","code"}`."""
    fields = error.details.get("fields")
    kind = "server_error" if error.status >= 500 else _TYPES.get(error.status, "invalid_request_error")
    param = next(iter(fields), None) if isinstance(fields, dict) else None
    found: dict[str, Any] = {"message": error.sentence, "type": kind, "param": param, "code": error.code}
    return found | ({"rules": list(error.rules)} if error.rules else {})


def _answer(request: Request, error: GatekeeperError) -> Response:
    status = status_for(error, has_credential=has_credential(request))
    headers = error_headers(error, status=status)
    if isinstance(error, TooMany):
        headers |= rate_headers(error)
    headers["X-Should-Retry"] = "true" if _may_pass(error) else "false"
    # That API says 400 where a value is wrong.
    return JSONResponse({"error": error_object(error)}, 400 if status == 422 else status, headers=headers)


def _may_pass(error: GatekeeperError) -> bool:
    if isinstance(error, TooMany):
        return int(error.details.get("retry_after_seconds", _SHORT_SECONDS)) <= _SHORT_SECONDS
    return isinstance(error, Unavailable) and error.code in _PASSING
