"""`/settings/sign-in`: the ways in that I have, adding one, taking one away."""

from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import oidc
from gatekeeper.authz import Action
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import providers
from gatekeeper.web.portal.views import render


async def show(call: Call) -> Response:
    """`GET /settings/sign-in`."""
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    mine = await oidc.identities.list_for(call.session, call.principal.person_id or "")
    remotes = call.gatekeeper.remotes
    titles = {remote.provider.issuer: remote.provider.title for remote in remotes.values()}
    held = {identity.issuer for identity in mine}
    return render(
        call,
        "portal/ways.html",
        identities=[(identity, titles.get(identity.issuer, "")) for identity in mine],
        others=[remote.provider for remote in remotes.values() if remote.provider.issuer not in held],
        has_password=bool(person and person.password_hash) and call.gatekeeper.settings.local_sign_in,
    )


async def link(call: Call) -> Response:
    """`POST /settings/sign-in/{provider}/link`: a fresh sign-in here, and now one there."""
    remote, gatekeeper = providers.remote_of(call), call.gatekeeper
    begun = await providers.begin(
        call, remote, return_to="/settings/sign-in", links_session_id=call.principal.session_id
    )
    # A page with a link, not a redirect: what a form may lead to is limited to this site (form-action).
    page = render(call, "portal/onward.html", provider=remote.provider, address=begun.address)
    page.headers["Referrer-Policy"] = "no-referrer"
    return providers.keep_browser(page, gatekeeper, begun.browser_secret)


async def unlink(call: Call) -> Response:
    """`POST /settings/sign-in/{id}/unlink`."""
    gatekeeper = call.gatekeeper
    await oidc.identities.unlink(
        call.session,
        call.params["id"],
        by=call.principal,
        usable=frozenset(remote.provider.issuer for remote in gatekeeper.remotes.values()),
        has_password=gatekeeper.settings.local_sign_in,
    )
    return RedirectResponse("/settings/sign-in?done=identity-unlinked", 303)


ROUTES = [
    guarded("/settings/sign-in", show, needs=Action.USE_ACCOUNT),
    guarded(
        "/settings/sign-in/{provider}/link",
        link,
        needs=Action.MANAGE_ACCOUNT,
        methods=("POST",),
        is_dangerous=True,
        mode="own",
    ),
    guarded("/settings/sign-in/{id}/unlink", unlink, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
