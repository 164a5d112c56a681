"""`/oauth/authorize`: a site sends a person here to be signed in; they see who asks for what, and decide."""

from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import Person
from gatekeeper.authz import Action
from gatekeeper.errors import NotAllowed
from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.oauth import wire
from gatekeeper.web.outer import CONTENT_SECURITY_POLICY
from gatekeeper.web.portal.views import render

_BODY_LIMIT = 20_000
_KEPT = (
    "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    "prompt", "max_age",
)  # fmt: skip


async def show(call: Call) -> Response:
    """`GET /oauth/authorize`: a page that asks, or the way back to the site at once."""
    if call.principal.token_id is not None:
        raise NotAllowed("Signing in is done in a browser.", next_step="Open this address without a token.")
    server = oauth.open_server(wire.ground(call))
    person = await _person(call)
    wanted = await oauth.authorize.examine(server, await wire.asked(call), person)
    if isinstance(wanted, oauth.Answer):
        return wire.respond(wanted)
    if person is None:
        if "none" in wanted.prompts:
            return wire.respond(oauth.authorize.refuse(server, wanted, "login_required"))
        here = f"/oauth/authorize?{call.request.url.query}"
        return RedirectResponse(f"/login?next={quote(here, safe='/')}", 303)
    signed_in_at = await oauth.codes.signed_in_at(call.session, call.principal.session_id)
    if not wanted.is_fresh(signed_in_at):
        return wire.respond(oauth.authorize.refuse(server, wanted, "login_required"))
    if await oauth.authorize.is_remembered(server, wanted, person):
        return wire.respond(await oauth.authorize.allow(server, wanted, person, signed_in_at=signed_in_at))
    if "none" in wanted.prompts:
        return wire.respond(oauth.authorize.refuse(server, wanted, "consent_required"))
    return await _ask(call, wanted)


async def decide(call: Call) -> Response:
    """`POST /oauth/authorize`: the person's answer, on its way to the site."""
    server = oauth.open_server(wire.ground(call))
    person = await _person(call)
    asked = await wire.asked(call)
    wanted = await oauth.authorize.examine(server, asked, person)
    if isinstance(wanted, oauth.Answer):
        return wire.respond(wanted)
    if person is None or dict(asked.form).get("decision") != "allow":
        return wire.respond(oauth.authorize.refuse(server, wanted, "access_denied"))
    await oauth.applications.consent(call.session, person.id, wanted.client.client_id, list(wanted.scopes))
    signed_in_at = await oauth.codes.signed_in_at(call.session, call.principal.session_id)
    return wire.respond(await oauth.authorize.allow(server, wanted, person, signed_in_at=signed_in_at))


async def _person(call: Call) -> Person | None:
    return await accounts.people.get(call.session, call.principal.person_id) if call.principal.person_id else None


async def _ask(call: Call, wanted: oauth.authorize.Wanted) -> Response:
    owner = await accounts.people.get(call.session, wanted.client.owner_id or "")
    site = urlsplit(wanted.redirect_uri)
    sent = wanted.request.payload.data
    page = render(
        call,
        "oauth/authorize.html",
        client=wanted.client,
        owner=owner.name if owner else "",
        host=site.netloc,
        scopes=wanted.scopes,
        kept=[(name, sent[name]) for name in _KEPT if name in sent],
    )
    # Browsers hold the answer's redirect to the form's rule too, so the site that waits for it is named there.
    page.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
        "form-action 'self'", f"form-action 'self' {site.scheme}://{site.netloc}"
    )
    return page


ROUTES = [
    guarded("/oauth/authorize", show, needs=None, mode="write"),
    guarded("/oauth/authorize", decide, needs=Action.MANAGE_ACCOUNT, methods=("POST",), body_limit=_BODY_LIMIT),
]
