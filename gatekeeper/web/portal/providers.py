"""Signing in through a provider: there, back, and out again."""

from starlette.responses import JSONResponse, RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import ANONYMOUS, SecondStepNeeded, SignedIn, oidc
from gatekeeper.errors import Conflict, GatekeeperError, Invalid, NotFound, NotSignedIn
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import entering, forms
from gatekeeper.web.portal.views import render
from gatekeeper.web.state import Gatekeeper
from gatekeeper.web.stepping import safe_next
from gatekeeper.web.templating import page

_BODY_LIMIT = 120_000
_LONGEST_PARAMETER = 4_000
_NO_STORE = {"Cache-Control": "no-store"}


async def start(call: Call) -> Response:
    """`GET /login/with/{provider}`: to the provider, with a state that this browser alone can answer."""
    remote = remote_of(call)
    return_to = safe_next(call.request.query_params.get("next", "/"))
    is_again = "again" in call.request.query_params
    if call.principal.is_signed_in and not is_again:
        return RedirectResponse(return_to, 303)
    begun = await begin(call, remote, return_to=return_to, is_fresh=is_again)
    return keep_browser(RedirectResponse(begun.address, 303, headers=_NO_STORE), call.gatekeeper, begun.browser_secret)


async def callback(call: Call) -> Response:
    """`GET /login/with/{provider}/callback`: back from the provider. The state is used up whatever comes of it."""
    remote, gatekeeper, given = remote_of(call), call.gatekeeper, call.request.query_params
    if any(len(given.getlist(name)) > 1 for name in given):
        raise oidc.verify.refused(remote, "repeated parameter")
    browser_secret = call.request.cookies.get(browser_cookie(gatekeeper), "")
    async with gatekeeper.db.write() as session:
        underway = await oidc.trips.take(
            session,
            remote,
            state=given.get("state", "")[:_LONGEST_PARAMETER],
            browser_secret=browser_secret,
            key=gatekeeper.keys.sessions,
            box=gatekeeper.keys.sealing,
        )
    vouched = await oidc.trips.arrive(
        remote,
        underway,
        code=given.get("code", ""),
        iss=given.get("iss"),
        error=given.get("error", ""),
        redirect_uri=callback_address(gatekeeper, remote),
    )
    trip = underway.trip
    async with gatekeeper.db.write() as session:
        if trip.links_session_id is not None:
            await call.recheck(session)
            person = await accounts.people.get(session, call.principal.person_id or "")
            if person is None or call.principal.session_id != trip.links_session_id:
                raise NotSignedIn("You signed out meanwhile.", next_step="Sign in and start again.")
            await oidc.identities.link(session, person, remote.provider, vouched)
            return RedirectResponse("/settings/sign-in?done=identity-linked", 303)
        entered = await oidc.arrivals.enter(
            session,
            remote.provider,
            vouched,
            door(call),
            return_to=trip.return_to,
            browser_secret=browser_secret,
        )
    if isinstance(entered, oidc.Newcomer):
        return RedirectResponse("/login/new", 303, headers=_NO_STORE)
    return welcome(call, entered, trip.return_to)


async def newcomer(call: Call) -> Response:
    """`GET /login/new`: choosing a name, when the one the provider knows cannot be had."""
    _, vouched = await _newcomer(call)
    proposed = oidc.claims.name_of(vouched.claims)
    return _newcomer_page(call, name=proposed, email=oidc.claims.email_of(vouched.claims))


async def settle(call: Call) -> Response:
    """`POST /login/new`: the account under the chosen name."""
    entering.refuse_foreign(call)
    found, vouched = await _newcomer(call)
    provider = _provider_named(call, found.provider)
    form = await forms.read(call.request)
    name, email = forms.text(form, "name", most=100).strip(), forms.text(form, "email", most=300).strip()
    try:
        async with call.session.begin_nested():
            signed_in = await oidc.arrivals.settle(
                call.session, provider, found, vouched, door(call), name=name, email=email
            )
    except (Conflict, Invalid) as error:
        field = "email" if "address" in error.message else "name"
        return _newcomer_page(call, name=name, email=email, errors={field: error.sentence}, status=error.status)
    return welcome(call, signed_in, found.return_to)


async def back_channel(call: Call) -> Response:
    """`POST /login/with/{provider}/back-channel`: the provider says that somebody signed out there."""
    try:
        remote = remote_of(call)
        await read_body(call.request, limit=_BODY_LIMIT)
        form = await forms.read(call.request)
        claims = await oidc.verify.logout_token(remote, forms.text(form, "logout_token", most=_BODY_LIMIT))
        async with call.gatekeeper.db.write() as session:
            await oidc.logout.obey(session, remote.provider, claims, key=call.gatekeeper.keys.sessions)
    except GatekeeperError as error:
        answer = {"error": "invalid_request", "error_description": error.message}
        return JSONResponse(answer, 503 if error.status == 503 else 400, headers=_NO_STORE)
    return Response(status_code=200, headers=_NO_STORE)


async def signed_out(call: Call) -> Response:
    """`GET /logout/done`: where a provider sends people after it signed them out too."""
    return RedirectResponse("/?done=signed-out", 303)


async def let_in(call: Call) -> Response:
    """`GET /login/once/{secret}`: an operator's link. Opening it does nothing yet: programs look at links, too."""
    return render(call, "portal/let_in.html", secret=call.params["secret"])


async def follow(call: Call) -> Response:
    """`POST /login/once/{secret}`: in, by an operator's link."""
    entering.refuse_foreign(call)
    signed_in = await oidc.links.follow(call.session, call.params["secret"], **entering.caller(call))
    return welcome(call, signed_in, "/")


async def begin(
    call: Call, remote: oidc.Remote, *, return_to: str, is_fresh: bool = False, links_session_id: str | None = None
) -> "oidc.trips.Start":
    """A trip to the provider, remembered. In no unit of work before: the provider may be slow."""
    metadata = await remote.metadata()
    gatekeeper = call.gatekeeper
    async with gatekeeper.db.write() as session:
        return await oidc.trips.begin(
            session,
            remote,
            metadata,
            redirect_uri=callback_address(gatekeeper, remote),
            return_to=return_to,
            browser_secret=call.request.cookies.get(browser_cookie(gatekeeper), ""),
            address=call.request.client.host if call.request.client else "",
            key=gatekeeper.keys.sessions,
            box=gatekeeper.keys.sealing,
            is_fresh=is_fresh,
            links_session_id=links_session_id,
        )


async def page_of_way_out(call: Call, session_id: str) -> Response | None:
    """Where the session's provider signs people out too, as far as it is known without asking it now."""
    gatekeeper = call.gatekeeper
    name, hint = await oidc.logout.way_out(call.session, session_id, box=gatekeeper.keys.sealing) or ("", "")
    remote = gatekeeper.remotes.get(name)
    address = remote and oidc.logout.end_session_address(remote, hint=hint, back_to=gatekeeper.url("/logout/done"))
    if not remote or not address:
        return None
    call.request.scope["gatekeeper.unread"] = 0
    return page(call.request, ANONYMOUS, "portal/signed_out.html", provider=remote.provider, address=address)


def remote_of(call: Call) -> oidc.Remote:
    """The provider that the path names. Raises NotFound."""
    remote = call.gatekeeper.remotes.get(call.params["provider"])
    if remote is None:
        raise NotFound("This hub knows no such provider.", next_step="Look at the sign-in page for those it knows.")
    return remote


def callback_address(gatekeeper: Gatekeeper, remote: oidc.Remote) -> str:
    """Where this provider sends people back. Each has its own, so that no answer passes for another's."""
    return gatekeeper.url(f"{remote.provider.path}/callback")


def browser_cookie(gatekeeper: Gatekeeper) -> str:
    """The cookie that binds a trip to the browser that began it."""
    return "__Host-gatekeeper-trip" if gatekeeper.settings.is_https else "gatekeeper_trip"


def keep_browser(response: Response, gatekeeper: Gatekeeper, secret: str) -> Response:
    """Give the browser the secret of its trips."""
    response.set_cookie(
        browser_cookie(gatekeeper),
        secret,
        max_age=oidc.arrivals.NEWCOMER_SECONDS,
        path="/",
        secure=gatekeeper.settings.is_https,
        httponly=True,
        samesite="lax",  # the way back from the provider begins at another site
    )
    return response


def welcome(call: Call, signed_in: SignedIn | SecondStepNeeded, return_to: str) -> Response:
    """In, under a fresh secret, or on to the second step; what bound the trip is over."""
    gatekeeper = call.gatekeeper
    is_https = gatekeeper.settings.is_https
    response = entering.entered(call, signed_in, safe_next(return_to))
    response.headers["Cache-Control"] = "no-store"
    response.delete_cookie(browser_cookie(gatekeeper), path="/", secure=is_https, httponly=True, samesite="lax")
    return response


def door(call: Call) -> oidc.Door:
    """What a session takes that begins in this call."""
    return oidc.Door(box=call.gatekeeper.keys.sealing, **entering.caller(call))


def _provider_named(call: Call, name: str) -> oidc.Provider:
    remote = call.gatekeeper.remotes.get(name)
    if remote is None:
        raise NotSignedIn("This provider is not used any more.", next_step="Sign in another way.")
    return remote.provider


async def _newcomer(call: Call) -> tuple[oidc.Newcomer, oidc.Vouched]:
    gatekeeper = call.gatekeeper
    found = await oidc.arrivals.newcomer_of(
        call.session,
        call.request.cookies.get(browser_cookie(gatekeeper), ""),
        key=gatekeeper.keys.sessions,
        box=gatekeeper.keys.sealing,
    )
    if found is None:
        raise NotSignedIn("This sign-in is over.", next_step="Start again from the sign-in page.")
    return found


def _newcomer_page(
    call: Call, *, name: str, email: str, errors: dict[str, str] | None = None, status: int = 200
) -> Response:
    return render(call, "portal/newcomer.html", status=status, name=name, email=email, errors=errors or {})


_ONE = "/login/with/{provider}"

ROUTES = [
    guarded(_ONE, start, needs=None, mode="own", for_enrolment=True),
    guarded(_ONE + "/callback", callback, needs=None, mode="own", for_enrolment=True),
    guarded(_ONE + "/back-channel", back_channel, needs=None, methods=("POST",), mode="own"),
    guarded("/login/new", newcomer, needs=None, for_enrolment=True),
    guarded("/login/new", settle, needs=None, methods=("POST",), for_enrolment=True),
    guarded("/login/once/{secret}", let_in, needs=None, for_enrolment=True),
    guarded("/login/once/{secret}", follow, needs=None, methods=("POST",), for_enrolment=True),
    guarded("/logout/done", signed_out, needs=None, for_enrolment=True),
]
