"""`/device`: a person types the code that a program shows, sees what it may do, and decides."""

from urllib.parse import quote

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound, TooMany
from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_BODY_LIMIT = 20_000
_LONGEST_CODE = 40


async def show(call: Call) -> Response:
    """`GET /device`, with the code in the address where the program could put it there."""
    code = call.request.query_params.get("user_code", "")[:_LONGEST_CODE]
    if not call.principal.is_signed_in:
        here = f"/device?user_code={quote(code, safe='')}" if code else "/device"
        return RedirectResponse(f"/login?next={quote(here, safe='/')}", 303)
    if not code:
        return _ask(call, code)
    try:
        found, client = await _look_up(call, code)
    except (NotFound, TooMany) as error:
        return _ask(call, code, error=error.sentence, status=error.status)
    return _confirm(call, oauth.device.normal(code), found, client)


async def decide(call: Call) -> Response:
    """`POST /device`: let the program in, or turn it away."""
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    code = forms.text(form, "user_code", most=_LONGEST_CODE)
    allow = forms.text(form, "decision", most=10) == "allow"
    try:
        found, client = await _look_up(call, code)
    except (NotFound, TooMany) as error:
        return _ask(call, code, error=error.sentence, status=error.status)
    try:
        async with call.gatekeeper.db.write() as session:
            await call.recheck(session)  # the session may have ended while the page lay open
            await oauth.device.decide(
                session,
                found.id,
                allow=allow,
                scopes=list(dict.fromkeys(forms.texts(form, "scopes"))),
                by=call.principal,
                key=call.gatekeeper.keys.tokens,
            )
    except Invalid as error:
        return _confirm(call, oauth.device.normal(code), found, client, errors={"scopes": error.sentence}, status=422)
    except Conflict as error:
        return _ask(call, "", error=error.sentence, status=error.status)
    return render(call, "oauth/device_done.html", is_allowed=allow, client=client)


async def _look_up(call: Call, code: str) -> tuple[oauth.DeviceRequest, oauth.Client]:
    gatekeeper = call.gatekeeper
    return await oauth.device.look_up(
        gatekeeper.db,
        code,
        address=call.request.client.host if call.request.client else "",
        by=call.principal,
        key=gatekeeper.keys.tokens,
        throttle_key=gatekeeper.keys.sessions,
    )


def _ask(call: Call, code: str, *, error: str = "", status: int = 200) -> HTMLResponse:
    return render(call, "oauth/device.html", status=status, code=code, errors={"user_code": error} if error else {})


def _confirm(
    call: Call,
    code: str,
    found: oauth.DeviceRequest,
    client: oauth.Client,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    return render(
        call,
        "oauth/device_confirm.html",
        status=status,
        code=code,
        asked=found,
        client=client,
        errors=errors or {},
    )


ROUTES = [
    guarded("/device", show, needs=None, mode="own"),
    guarded("/device", decide, needs=Action.MANAGE_ACCOUNT, methods=("POST",), mode="own"),
]
