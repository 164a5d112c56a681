"""`/settings/applications/own`: sites and programs that I registered, for people to sign in to with this hub."""

from dataclasses import dataclass

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, TooMany
from gatekeeper.tokens import oauth
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins."""

    name: str = ""
    redirect_uris: str = ""
    scopes: tuple[str, ...] = ("openid", "profile")
    is_confidential: bool = True
    needs_pkce: bool = True


async def show(call: Call) -> Response:
    """`GET /settings/applications/own`."""
    return await _page(call, Form())


async def register(call: Call) -> Response:
    """`POST /settings/applications/own`: the answer is the page itself, for the secret exists nowhere else."""
    sent = await forms.read(call.request)
    form = Form(
        name=forms.text(sent, "name", most=200),
        redirect_uris=forms.text(sent, "redirect_uris", most=6_000),
        scopes=tuple(dict.fromkeys(("openid", *forms.texts(sent, "scopes")))),
        is_confidential=forms.text(sent, "kind", most=20) != "public",
        needs_pkce=forms.text(sent, "without_pkce", most=5) != "yes",
    )
    try:
        async with call.session.begin_nested():
            made, secret = await oauth.applications.register(
                call.session,
                form.name,
                redirect_uris=form.redirect_uris.split("\n"),
                scopes=list(form.scopes),
                is_confidential=form.is_confidential,
                needs_pkce=form.needs_pkce,
                key=call.gatekeeper.keys.tokens,
                by=call.principal,
            )
    except (Invalid, TooMany) as error:
        named = str(error.details.get("field", "name"))
        return await _page(call, form, errors={named: error.sentence}, status=error.status)
    return await _page(call, Form(), made=made, secret=secret or "")


async def remove(call: Call) -> Response:
    """`POST /settings/applications/own/{id}/remove`."""
    await oauth.applications.remove(call.session, call.params["id"], by=call.principal)
    return RedirectResponse("/settings/applications/own?done=application-removed", 303)


async def _page(
    call: Call,
    form: Form,
    *,
    errors: dict[str, str] | None = None,
    made: oauth.Application | None = None,
    secret: str = "",
    status: int = 200,
) -> HTMLResponse:
    return render(
        call,
        "oauth/own.html",
        status=422 if status == 400 else status,
        errors=errors or {},
        applications=await oauth.applications.list_for(call.session, call.principal.person_id or ""),
        form=form,
        made=made,
        secret=secret,
        issuer=call.gatekeeper.settings.public_url,
    )


ROUTES = [
    guarded("/settings/applications/own", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/applications/own", register, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    guarded(
        "/settings/applications/own/{id}/remove",
        remove,
        needs=Action.MANAGE_ACCOUNT,
        methods=("POST",),
        is_dangerous=True,
    ),
]
