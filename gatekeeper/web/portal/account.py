"""Signing in and out, and one's own account."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotSignedIn, TooMany
from gatekeeper.web import browsers
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import entering, forms, providers
from gatekeeper.web.portal.views import render
from gatekeeper.web.principal import cookie_name
from gatekeeper.web.respond import error_headers
from gatekeeper.web.stepping import safe_next

_BODY_LIMIT = 20_000
_LONGEST_NEXT = 2_000


@dataclass(frozen=True)
class Browser:
    """A signed-in browser in the list."""

    id: str
    name: str
    is_this: bool
    signed_in_at: datetime
    expires_at: datetime
    seen_at: datetime | None
    network: str


async def login(call: Call) -> Response:
    """`GET /login`."""
    return_to = safe_next(call.request.query_params.get("next", "/"))
    if not call.principal.is_signed_in:
        return _login_page(call, return_to=return_to)
    if "again" not in call.request.query_params:
        return RedirectResponse(return_to, 303)
    return _login_page(call, return_to=return_to, name=call.principal.name)


async def sign_in(call: Call) -> Response:
    """`POST /login`. In no unit of work: a failed try is counted although it is refused."""
    entering.refuse_foreign(call)
    entering.require_local(call)
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    return_to = safe_next(forms.text(form, "next", most=_LONGEST_NEXT) or "/")
    name, password = forms.text(form, "name", most=254), forms.text(form, "password", most=5_000)
    if not name.strip() or not password:
        wrong = {key: text for key, text in (("name", "Give your name or e-mail."),) if not name.strip()}
        wrong |= {"password": "Give your password."} if not password else {}
        return _login_page(call, return_to=return_to, name=name, errors=wrong, status=422)
    try:
        signed_in = await accounts.sign_in(
            call.gatekeeper.db,
            name,
            password,
            address=entering.address(call),
            **entering.caller(call),
        )
    except (NotSignedIn, TooMany) as error:
        page = _login_page(call, return_to=return_to, name=name, errors={"name": error.sentence}, status=error.status)
        if isinstance(error, TooMany):
            page.headers["Retry-After"] = error_headers(error, status=error.status)["Retry-After"]
        return page
    return entering.entered(call, signed_in, return_to)


async def sign_out(call: Call) -> Response:
    """`POST /logout`: the session ends on the server; the cookie goes too. A provider is one more click away."""
    response: Response = RedirectResponse("/?done=signed-out", 303)
    if call.principal.session_id is not None:
        response = await providers.page_of_way_out(call, call.principal.session_id) or response
        await accounts.sessions.end(call.session, call.principal.session_id, by=call.principal)
    response.delete_cookie(
        cookie_name(call.gatekeeper),
        path="/",
        secure=call.gatekeeper.settings.is_https,
        httponly=True,
        samesite="lax",
    )
    return response


async def settings(call: Call) -> Response:
    """`GET /settings`."""
    return await _settings_page(call, call.session)


async def change_password(call: Call) -> Response:
    """`POST /settings/password`: needs the present one, so that an unlocked screen is not enough."""
    entering.require_local(call)
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    try:
        await accounts.change_password(
            call.gatekeeper.db,
            forms.text(form, "current", most=5_000),
            forms.text(form, "password", most=5_000),
            address=entering.address(call),
            key=call.gatekeeper.keys.sessions,
            by=call.principal,
        )
    except (Invalid, TooMany) as error:
        wrong = {str(error.details.get("field", "current")): error.sentence}
        async with call.gatekeeper.db.read() as session:
            return await _settings_page(call, session, errors=wrong, status=429 if isinstance(error, TooMany) else 422)
    return RedirectResponse("/settings?done=password", 303)


async def end_others(call: Call) -> Response:
    """`POST /settings/sessions/end`: every browser but this one is signed out."""
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    assert person is not None  # the guard has just found them
    await accounts.sessions.end_all(call.session, person, by=call.principal, keep=call.principal.session_id)
    return RedirectResponse("/settings?done=sessions-ended", 303)


async def end_session(call: Call) -> Response:
    """`POST /settings/sessions/{id}/end`."""
    await accounts.sessions.end(call.session, call.params["id"], by=call.principal)
    return RedirectResponse("/settings?done=session-ended", 303)


async def browsers_of(call: Call, session: AsyncSession, person_id: str) -> list[Browser]:
    """Where somebody is signed in, newest first."""
    live = await accounts.sessions.list_for(session, person_id)
    seen = await accounts.seen.of(session, [row.id for row in live])
    return [
        Browser(
            row.id,
            browsers.name_of(row.user_agent),
            row.id == call.principal.session_id,
            row.signed_in_at,
            row.expires_at,
            seen[row.id].at if row.id in seen else None,
            seen[row.id].network if row.id in seen else "",
        )
        for row in live
    ]


def _login_page(
    call: Call, *, return_to: str, name: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return render(
        call,
        "portal/login.html",
        status=status,
        return_to=return_to,
        name=name or call.principal.name,
        is_again=call.principal.is_signed_in,
        sends_mail=bool(call.gatekeeper.settings.mail_host),
        is_open=call.gatekeeper.settings.sign_up == "open",
        providers=[remote.provider for remote in call.gatekeeper.remotes.values()],
        local_sign_in=call.gatekeeper.settings.local_sign_in,
        errors=errors or {},
    )


async def _settings_page(
    call: Call, session: AsyncSession, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    person_id = call.principal.person_id or ""
    person = await accounts.people.get(session, person_id)
    belongs = await accounts.organizations.organizations_of(session, person_id)
    return render(
        call,
        "portal/settings.html",
        status=status,
        person=person,
        organizations=[(organization.name, role.value) for organization, role in belongs],
        browsers=await browsers_of(call, session, person_id),
        sends_mail=bool(call.gatekeeper.settings.mail_host),
        has_password=bool(person and person.password_hash) and call.gatekeeper.settings.local_sign_in,
        has_providers=bool(call.gatekeeper.remotes),
        errors=errors or {},
    )


ROUTES = [
    guarded("/login", login, needs=None, for_enrolment=True),
    guarded("/login", sign_in, needs=None, methods=("POST",), mode="own", for_enrolment=True),
    guarded("/logout", sign_out, needs=None, methods=("POST",), for_enrolment=True),
    guarded("/settings", settings, needs=Action.USE_ACCOUNT),
    guarded(
        "/settings/password",
        change_password,
        needs=Action.MANAGE_ACCOUNT,
        methods=("POST",),
        mode="own",
        is_dangerous=True,
    ),
    guarded("/settings/sessions/end", end_others, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/settings/sessions/{id}/end", end_session, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
