"""My access tokens: make one, see it once, revoke it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, tokens
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.tokens import AccessToken
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_DAYS = (7, 30, 90, 365)
_DEFAULT_DAYS = 90


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins."""

    label: str = ""
    role: str = "read"
    scopes: tuple[str, ...] = ()
    days: str = str(_DEFAULT_DAYS)


@dataclass(frozen=True)
class Row:
    """One of my live tokens."""

    id: str
    label: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


async def show(call: Call) -> Response:
    """`GET /settings/tokens`."""
    return await _page(call, Form())


async def make(call: Call) -> Response:
    """`POST /settings/tokens`: the answer is the page itself, for the secret exists nowhere to come back to."""
    sent = await forms.read(call.request)
    form = Form(
        label=forms.text(sent, "label", most=200),
        role=forms.text(sent, "role", most=20),
        scopes=tuple(forms.texts(sent, "scopes")),
        days=forms.text(sent, "days", most=10),
    )
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    assert person is not None  # the guard has just found them
    if form.days not in {value for value, _ in _day_options(call)}:
        return await _page(call, form, errors={"days": "Choose one of the offered times."}, status=422)
    try:
        async with call.session.begin_nested():
            made, secret = await tokens.issue(
                call.session,
                person,
                label=form.label,
                role=form.role,
                scopes=list(form.scopes) or None,
                expires_at=now() + timedelta(days=int(form.days)),
                max_days=call.gatekeeper.settings.token_max_days,
                key=call.gatekeeper.keys.tokens,
                by=call.principal,
            )
    except (Invalid, Conflict) as error:
        named = "label" if "label" in error.sentence.lower() or isinstance(error, Conflict) else ""
        return await _page(call, form, errors={named: error.sentence}, status=422)
    return await _page(call, Form(), made=made, secret=secret)


async def revoke(call: Call) -> Response:
    """`POST /settings/tokens/{id}/revoke`."""
    await tokens.revoke(call.session, call.params["id"], by=call.principal)
    return RedirectResponse("/settings/tokens?done=token-revoked", 303)


async def _page(
    call: Call,
    form: Form,
    *,
    errors: dict[str, str] | None = None,
    made: AccessToken | None = None,
    secret: str = "",
    status: int = 200,
) -> HTMLResponse:
    person_id = call.principal.person_id or ""
    used = await tokens.last_used(call.session, person_id)
    rows = [
        Row(
            token.id,
            token.label,
            token.hint,
            tuple(token.scopes),
            token.created_at,
            token.expires_at,
            used.get(token.id),
        )
        for token in await tokens.list_for(call.session, person_id)
    ]
    return render(
        call,
        "portal/tokens.html",
        status=status,
        errors=errors or {},
        tokens=rows,
        form=form,
        day_options=_day_options(call),
        made=made,
        secret=secret,
        login_lines=f"export HF_ENDPOINT={call.gatekeeper.settings.public_url}\nhf auth login --token {secret}",
    )


def _day_options(call: Call) -> list[tuple[str, str]]:
    longest = call.gatekeeper.settings.token_max_days
    return [
        (str(days), f"{days} days") for days in sorted({day for day in _DAYS if day <= longest} | {min(longest, 90)})
    ]


ROUTES = [
    guarded("/settings/tokens", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/tokens", make, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded("/settings/tokens/{id}/revoke", revoke, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
