"""Endpoints that applications call. They prove themselves, if they can, with their own credential."""

from starlette.responses import JSONResponse, Response

from gatekeeper import accounts, tokens
from gatekeeper.errors import NotAllowed, NotSignedIn
from gatekeeper.tokens import AccessToken, oauth
from gatekeeper.web.guard import Call, Endpoint, Mode, guarded, read_body
from gatekeeper.web.oauth import wire
from gatekeeper.web.oauth.exchange import exchange
from gatekeeper.web.routing import RawRoute

_BODY_LIMIT = 20_000


async def device(call: Call) -> Response:
    """Begin the device flow: a code for the program and one for its person (RFC 8628)."""
    asked = await wire.asked(call)
    return wire.respond(await oauth.open_server(wire.ground(call)).endpoint("device_authorization", asked))


async def token(call: Call) -> Response:
    """Tokens for a code, a device code, a refresh token, a service's secret, or a job's signed identity (as JSON).

    Errors are those of RFC 6749, section 5.2.
    """
    await read_body(call.request, limit=_BODY_LIMIT)
    if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return await exchange(call)
    asked = await wire.asked(call)
    async with call.gatekeeper.db.write() as session:
        answer = await oauth.open_server(wire.ground(call, session)).token(asked)
    return wire.respond(answer)


async def revoke(call: Call) -> Response:
    """An application hands a token back (RFC 7009): with a refresh token, everything that came with it ends."""
    asked = await wire.asked(call)
    return wire.respond(await oauth.open_server(wire.ground(call)).endpoint("revocation", asked))


async def introspect(call: Call) -> Response:
    """Whether a token of the application works, whose it is and what it opens (RFC 7662)."""
    asked = await wire.asked(call)
    return wire.respond(await oauth.open_server(wire.ground(call)).endpoint("introspection", asked))


async def leaked(call: Call) -> Response:
    """Report a token that was found in the open: it ends at once. Answers the same whatever was sent."""
    sent = dict((await wire.asked(call)).form)
    await tokens.report_leaked(call.session, sent.get("token", ""), key=call.gatekeeper.keys.tokens)
    return Response(status_code=204)


async def userinfo(call: Call) -> Response:
    """Who signed in, as far as the token's scopes tell (OpenID Connect Core, 5.3)."""
    session, by = call.session, call.principal
    held = await session.get(AccessToken, by.token_id) if by.token_id else None
    if held is None:
        raise NotSignedIn("This takes an application's token.", next_step="Send it as a bearer token.")
    grant = await session.get(oauth.Grant, held.grant_id) if held.grant_id else None
    person = await accounts.people.get(session, held.person_id)
    if grant is None or person is None or "openid" not in grant.scopes:
        raise NotAllowed("This token has no openid scope.", next_step="Ask for the scope openid when signing in.")
    claims = await oauth.claims_of(session, person, grant.scopes, issuer=call.gatekeeper.settings.public_url)
    return JSONResponse(claims, headers={"Cache-Control": "no-store"})


def _for_applications(path: str, endpoint: Endpoint, mode: Mode | None = None) -> RawRoute:
    return guarded(
        path, endpoint, needs=None, methods=("POST",), mode=mode, body_limit=_BODY_LIMIT, for_applications=True
    )


ROUTES = [
    _for_applications("/oauth/device", device),
    _for_applications("/oauth/token", token, mode="own"),  # keys of issuers are fetched outside of any transaction
    _for_applications("/oauth/revoke", revoke),
    _for_applications("/oauth/introspect", introspect),
    _for_applications("/oauth/leaked", leaked),
    guarded("/oauth/userinfo", userinfo, needs=None, methods=("GET",)),
    guarded("/oauth/userinfo", userinfo, needs=None, methods=("POST",), mode="read"),
]
