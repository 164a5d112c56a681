"""Endpoints that applications call. They prove themselves, if they can, with their own credential."""

from starlette.responses import Response

from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.oauth import wire

_BODY_LIMIT = 20_000


async def device(call: Call) -> Response:
    """Begin the device flow: a code for the program and one for its person (RFC 8628)."""
    asked = await wire.asked(call)
    return wire.respond(await oauth.open_server(wire.ground(call)).endpoint("device_authorization", asked))


async def token(call: Call) -> Response:
    """Tokens for a device code or a refresh token. Errors are those of RFC 6749, section 5.2."""
    asked = await wire.asked(call)
    return wire.respond(await oauth.open_server(wire.ground(call)).token(asked))


ROUTES = [
    guarded("/oauth/device", device, needs=None, methods=("POST",), body_limit=_BODY_LIMIT, for_applications=True),
    guarded("/oauth/token", token, needs=None, methods=("POST",), body_limit=_BODY_LIMIT, for_applications=True),
]
