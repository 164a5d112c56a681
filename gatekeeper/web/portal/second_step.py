"""`/login/second` and signing in with a passkey."""

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.accounts import factors, throttle
from gatekeeper.accounts.factors.tables import StepKind
from gatekeeper.errors import Invalid, NotSignedIn, TooMany
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import entering, forms
from gatekeeper.web.portal.views import render
from gatekeeper.web.respond import error_headers
from gatekeeper.web.stepping import safe_next

_BODY_LIMIT = 40_000
_LONGEST_NEXT = 2_000
_AGAIN = "/login?done=start-again"


async def show(call: Call) -> Response:
    """`GET /login/second`: asks for a code or a passkey, whatever the person has."""
    return_to = safe_next(call.request.query_params.get("next", "/"))
    return await _page(call, return_to)


async def with_code(call: Call) -> Response:
    """`POST /login/second`. In no unit of work: a failed try is counted although it is refused."""
    entering.refuse_foreign(call)
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    return_to = safe_next(forms.text(form, "next", most=_LONGEST_NEXT) or "/")
    try:
        signed_in = await accounts.second_step.with_code(
            call.gatekeeper.db,
            entering.step_secret(call),
            forms.text(form, "code", most=40),
            box=call.gatekeeper.keys.sealing,
            address=entering.address(call),
            **entering.caller(call),
        )
    except (NotSignedIn, TooMany) as error:
        page = await _page(call, return_to, errors={"code": error.sentence}, status=error.status)
        if isinstance(error, TooMany):
            page.headers["Retry-After"] = error_headers(error, status=error.status)["Retry-After"]
        return page
    return entering.entered(call, signed_in, return_to)


async def passkey_options(call: Call) -> Response:
    """`POST /login/passkey/options`: what a script asks the browser's passkeys, to sign in or as the second step."""
    entering.refuse_foreign(call)
    rp, key = entering.relying_party(call.gatekeeper), call.gatekeeper.keys.sessions
    if call.request.query_params.get("step") == "second":
        step, _ = await accounts.second_step.person_of(call.session, entering.step_secret(call), key=key)
        return _json(await factors.passkeys.begin_second(call.session, step, rp=rp))
    entering.require_local(call)
    await throttle.reserve_address(call.session, "passkey", entering.address(call), key=key)
    options, secret = await factors.passkeys.begin(call.session, rp=rp, key=key)
    response = _json(options)
    entering.keep_step(call, response, secret)
    return response


async def with_passkey(call: Call) -> Response:
    """`POST /login/passkey`: by itself, or as the second step."""
    entering.refuse_foreign(call)
    form = await forms.read(call.request)
    return_to = safe_next(forms.text(form, "next", most=_LONGEST_NEXT) or "/")
    is_second = forms.text(form, "step", most=10) == "second"
    if not is_second:
        entering.require_local(call)
    try:
        async with call.session.begin_nested():
            signed_in = await accounts.second_step.with_passkey(
                call.session,
                StepKind.SECOND if is_second else StepKind.PASSKEY,
                entering.step_secret(call),
                entering.credential(forms.text(form, "credential", most=20_000)),
                rp=entering.relying_party(call.gatekeeper),
                **entering.caller(call),
            )
    except (NotSignedIn, Invalid) as error:
        if is_second:
            return await _page(call, return_to, errors={"code": error.sentence}, status=error.status)
        return RedirectResponse("/login?done=passkey-failed", 303)
    return entering.entered(call, signed_in, return_to)


async def _page(
    call: Call, return_to: str, *, errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse | RedirectResponse:
    async with call.gatekeeper.db.read() as session:
        try:
            _, person = await accounts.second_step.person_of(
                session, entering.step_secret(call), key=call.gatekeeper.keys.sessions
            )
        except NotSignedIn:
            return RedirectResponse(_AGAIN, 303)
        held = await factors.held(session, person.id)
    return render(call, "portal/second_step.html", status=status, return_to=return_to, held=held, errors=errors or {})


def _json(text: str) -> Response:
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


ROUTES = [
    guarded("/login/second", show, needs=None, mode="own", for_enrolment=True),
    guarded("/login/second", with_code, needs=None, methods=("POST",), mode="own", for_enrolment=True),
    guarded("/login/passkey/options", passkey_options, needs=None, methods=("POST",), for_enrolment=True),
    guarded("/login/passkey", with_passkey, needs=None, methods=("POST",), body_limit=_BODY_LIMIT, for_enrolment=True),
]
