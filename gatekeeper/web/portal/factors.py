"""`/settings/second-factor`: an app with codes, passkeys, recovery codes."""

import segno
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import Person, factors
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotSignedIn
from gatekeeper.web.guard import Call, Endpoint, guarded
from gatekeeper.web.portal import entering, forms
from gatekeeper.web.portal.views import me, render
from gatekeeper.web.routing import RawRoute
from gatekeeper.web.stepping import FACTORS_PAGE, lacks_second_factor

_BODY_LIMIT = 40_000
_APP_PAGE = f"{FACTORS_PAGE}/app"


async def show(call: Call) -> Response:
    """`GET /settings/second-factor`."""
    return await _page(call)


async def begin_app(call: Call) -> Response:
    """`POST /settings/second-factor/app`: a new secret, shown on the page that follows until it is confirmed."""
    try:
        await factors.totp.begin(call.session, await me(call), box=call.gatekeeper.keys.sealing)
    except Conflict as error:
        return await _page(call, errors={"": error.sentence}, status=error.status)
    return RedirectResponse(_APP_PAGE, 303)


async def show_app(call: Call) -> Response:
    """`GET /settings/second-factor/app`: the picture for the app. Never again once it is confirmed."""
    return await _app_page(call)


async def confirm_app(call: Call) -> Response:
    """`POST /settings/second-factor/app/confirm`: a first code takes the app into use."""
    form = await forms.read(call.request)
    person = await me(call)
    try:
        await factors.totp.confirm(
            call.session, person, forms.text(form, "code", most=20), box=call.gatekeeper.keys.sealing, by=call.principal
        )
    except Invalid as error:
        return await _app_page(call, errors={"code": error.sentence}, status=422)
    return await _added(call, person, done="app-added")


async def remove_app(call: Call) -> Response:
    """`POST /settings/second-factor/app/remove`."""
    person = await me(call)
    await factors.totp.remove(call.session, person, by=call.principal)
    await call.session.flush()  # whether any factor is left is asked next
    await accounts.second_step.removed(call.session, person, by=call.principal)
    return RedirectResponse(f"{FACTORS_PAGE}?done=factor-removed", 303)


async def renew_codes(call: Call) -> Response:
    """`POST /settings/second-factor/codes`: the answer is the page, for the codes exist nowhere to come back to."""
    person = await me(call)
    if not (await factors.held(call.session, person.id)).any:
        return await _page(
            call, errors={"": "Recovery codes stand in for an app or a passkey. Add one first."}, status=422
        )
    codes = await factors.recovery.renew(call.session, person, key=call.gatekeeper.keys.sessions, by=call.principal)
    return render(call, "portal/recovery_codes.html", codes=codes)


async def passkey_options(call: Call) -> Response:
    """`POST /settings/passkeys/options`: what a browser's script needs to make a passkey."""
    options, secret = await factors.passkeys.begin_registration(
        call.session,
        await me(call),
        rp=entering.relying_party(call.gatekeeper),
        key=call.gatekeeper.keys.sessions,
    )
    response = Response(options, media_type="application/json", headers={"Cache-Control": "no-store"})
    entering.keep_step(call, response, secret)
    return response


async def add_passkey(call: Call) -> Response:
    """`POST /settings/passkeys`."""
    form = await forms.read(call.request)
    person = await me(call)
    try:
        async with call.session.begin_nested():
            await factors.passkeys.finish_registration(
                call.session,
                person,
                entering.step_secret(call),
                entering.credential(forms.text(form, "credential", most=20_000)),
                name=forms.text(form, "name", most=200),
                rp=entering.relying_party(call.gatekeeper),
                key=call.gatekeeper.keys.sessions,
                by=call.principal,
            )
    except (NotSignedIn, Invalid, Conflict) as error:
        return await _page(call, errors={"name": error.sentence}, status=422)
    return await _added(call, person, done="passkey-added")


async def remove_passkey(call: Call) -> Response:
    """`POST /settings/passkeys/{id}/remove`."""
    person = await me(call)
    await factors.passkeys.remove(call.session, person, call.params["id"], by=call.principal)
    await accounts.second_step.removed(call.session, person, by=call.principal)
    return RedirectResponse(f"{FACTORS_PAGE}?done=factor-removed", 303)


async def _added(call: Call, person: Person, *, done: str) -> Response:
    """After a new factor: this browser's session goes on, stronger and under a new secret; codes are shown once."""
    key = call.gatekeeper.keys.sessions
    secret, codes = await accounts.second_step.added(call.session, person, key=key, by=call.principal)
    response: Response = RedirectResponse(f"{FACTORS_PAGE}?done={done}", 303)
    if codes:
        response = render(call, "portal/recovery_codes.html", codes=codes)
    entering.keep_session(call.gatekeeper, response, secret)
    entering.forget_step(call, response)
    return response


async def _page(call: Call, *, errors: dict[str, str] | None = None, status: int = 200) -> HTMLResponse:
    settings = call.gatekeeper.settings
    return render(
        call,
        "portal/second_factor.html",
        status=status,
        held=await factors.held(call.session, call.principal.person_id or ""),
        is_required=settings.admin_second_factor == "required" and call.principal.is_admin,
        is_lacking=lacks_second_factor(call.principal, settings),
        asking=[each.name for each in await accounts.memberships.asking(call.session, call.principal.person_id)],
        errors=errors or {},
    )


async def _app_page(call: Call, *, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    enrolment = await factors.totp.under_way(
        call.session, await me(call), box=call.gatekeeper.keys.sealing, issuer=_issuer(call)
    )
    if enrolment is None:
        return RedirectResponse(FACTORS_PAGE, 303)
    picture = segno.make(enrolment.address, error="m").svg_data_uri(scale=4, light="#fff", dark="#000")
    return render(
        call,
        "portal/second_factor_app.html",
        status=status,
        picture=picture,
        secret=enrolment.secret,
        errors=errors or {},
    )


def _issuer(call: Call) -> str:
    return f"Gatekeeper {entering.relying_party(call.gatekeeper).id}"


def _change(pattern: str, endpoint: Endpoint) -> RawRoute:
    return guarded(
        pattern,
        endpoint,
        needs=Action.MANAGE_ACCOUNT,
        methods=("POST",),
        body_limit=_BODY_LIMIT,
        is_dangerous=True,
        for_enrolment=True,
    )


ROUTES = [
    guarded(FACTORS_PAGE, show, needs=Action.USE_ACCOUNT, for_enrolment=True),
    guarded(_APP_PAGE, show_app, needs=Action.MANAGE_ACCOUNT, is_dangerous=True, for_enrolment=True),
    _change(_APP_PAGE, begin_app),
    _change(f"{_APP_PAGE}/confirm", confirm_app),
    _change(f"{_APP_PAGE}/remove", remove_app),
    _change(f"{FACTORS_PAGE}/codes", renew_codes),
    _change("/settings/passkeys/options", passkey_options),
    _change("/settings/passkeys", add_passkey),
    _change("/settings/passkeys/{id}/remove", remove_passkey),
]
