"""My access tokens: make one, see it once, revoke it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, tokens
from gatekeeper.accounts import Reach
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.kit.figures import plural
from gatekeeper.repos import Repo
from gatekeeper.tokens import AccessToken, TokenUse
from gatekeeper.web.covering import describe, repositories_named
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
    limit: str = "all"
    repositories: str = ""
    owners: tuple[str, ...] = ()
    is_public: bool = False


@dataclass(frozen=True)
class Row:
    """One of my live tokens."""

    id: str
    label: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used: TokenUse | None
    covers: tuple[str, ...] | None
    is_public: bool
    closed: tuple[str, ...]


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
        limit=forms.text(sent, "limit", most=10) or "all",
        repositories=forms.text(sent, "repositories"),
        owners=tuple(forms.texts(sent, "owners"))[:200],
        is_public=forms.text(sent, "public", most=10) == "yes",
    )
    person = await accounts.people.get(call.session, call.principal.person_id or "")
    assert person is not None  # the guard has just found them
    if form.days not in {value for value, _ in day_options(call)}:
        return await _page(call, form, errors={"days": "Choose one of the offered times."}, status=422)
    try:
        async with call.session.begin_nested():
            made, secret = await tokens.issue(
                call.session,
                person,
                label=form.label,
                role=form.role,
                scopes=list(form.scopes) or None,
                reach=await _reach(call, form),
                expires_at=now() + timedelta(days=int(form.days)),
                max_days=call.gatekeeper.settings.token_max_days,
                key=call.gatekeeper.keys.tokens,
                by=call.principal,
            )
    except (Invalid, Conflict) as error:
        named = "label" if "label" in error.sentence.lower() or isinstance(error, Conflict) else ""
        named = str(error.details.get("field", named))
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
    mine = await accounts.organizations.organizations_of(call.session, person_id)
    names = {organization.id: organization.name for organization, _ in mine}
    rows = [
        await row_of(call, token, used.get(token.id), names) for token in await tokens.list_for(call.session, person_id)
    ]
    return render(
        call,
        "portal/tokens.html",
        status=status,
        errors=errors or {},
        tokens=rows,
        form=form,
        namespaces=[(person_id, call.principal.name), *names.items()],
        day_options=day_options(call),
        made=made,
        secret=secret,
        login_lines=f"export HF_ENDPOINT={call.gatekeeper.settings.public_url}\nhf auth login --token {secret}",
    )


async def row_of(call: Call, token: AccessToken, used: TokenUse | None, names: dict[str, str]) -> Row:
    """A token for the list. `names` are those of its person's organizations, by id."""
    reach = tokens.limits.reach_of(token)
    closed = await tokens.approval.closed_to(call.session, token)
    if reach is not None and closed:
        owners = sa.select(col(Repo.owner_organization_id)).where(col(Repo.id).in_(reach.repositories))
        closed &= {*await call.session.scalars(owners), *reach.owners}
    return Row(
        token.id,
        token.label,
        token.hint,
        tuple(token.scopes),
        token.created_at,
        token.expires_at,
        used,
        None if reach is None else tuple(one.name for one in await describe(call, reach)),
        reach is not None and reach.is_public,
        tuple(sorted(names[id] for id in closed if id in names)),
    )


async def _reach(call: Call, form: Form) -> Reach | None:
    """The limits that the form asks for. Raises Invalid."""
    if form.limit != "some":
        return None
    named = await repositories_named(call, form.repositories)
    return Reach(frozenset(repo.id for repo in named), frozenset(form.owners), form.is_public)


def day_options(call: Call) -> list[tuple[str, str]]:
    """How long a token may be made to live here: days and words."""
    longest = call.gatekeeper.settings.token_max_days
    return [
        (str(days), plural(days, "day"))
        for days in sorted({day for day in _DAYS if day <= longest} | {min(longest, 90)})
    ]


ROUTES = [
    guarded("/settings/tokens", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/tokens", make, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded("/settings/tokens/{id}/revoke", revoke, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
]
