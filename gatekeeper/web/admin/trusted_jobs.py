"""Jobs elsewhere that a repository trusts: which, and trusting one."""

from dataclasses import dataclass

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, TooMany
from gatekeeper.tokens.oauth import publishers
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render

_PATH = "/admin/repositories/{kind:kind}/{ns}/{name}/jobs"
_DEFAULT = ("read", "download")


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins. `claims` has a line `name = value` for each."""

    label: str = ""
    issuer: str = "https://token.actions.githubusercontent.com"
    claims: str = ""
    scopes: tuple[str, ...] = _DEFAULT


async def show(call: Call) -> Response:
    """`GET /admin/repositories/{kind}/{ns}/{name}/jobs`."""
    return await _page(call, Form())


async def trust(call: Call) -> Response:
    """`POST /admin/repositories/{kind}/{ns}/{name}/jobs`."""
    sent = await forms.read(call.request)
    form = Form(
        label=forms.text(sent, "label", most=200),
        issuer=forms.text(sent, "issuer", most=400).strip(),
        claims=forms.text(sent, "claims"),
        scopes=tuple(dict.fromkeys(forms.texts(sent, "scopes"))),
    )
    try:
        async with call.session.begin_nested():
            await publishers.trust(
                call.session,
                call.repo.id,
                label=form.label,
                issuer=form.issuer,
                claims=_claims(form.claims),
                scopes=list(form.scopes),
                is_http=bool(call.gatekeeper.issuers.rules.networks),
                by=call.principal,
            )
    except (Invalid, TooMany) as error:
        return await _page(call, form, errors={str(error.details.get("field", "")): error.sentence}, status=422)
    return _back(call, "job-trusted")


async def remove(call: Call) -> Response:
    """`POST /admin/repositories/{kind}/{ns}/{name}/jobs/{id}/remove`."""
    await publishers.remove(call.session, call.repo.id, call.params["id"], by=call.principal)
    return _back(call, "job-removed")


def _claims(lines: str) -> dict[str, str]:
    claims: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in lines.split("\n"))):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name in claims:
            raise Invalid(
                f"{line[:80]!r} cannot be read.",
                next_step="Write one claim a line, as in repository = lab/model.",
                details={"field": "claims"},
            )
        claims[name] = value
    return claims


async def _page(call: Call, form: Form, *, errors: dict[str, str] | None = None, status: int = 200) -> HTMLResponse:
    return render(
        call,
        "admin/trusted_jobs.html",
        status=status,
        sees_all=runs_hub(call),
        repo=call.repo,
        page_url=call.resource.page,
        base=_path(call),
        jobs=await publishers.list_for(call.session, call.repo.id),
        form=form,
        offered=[scope.value for scope in publishers.SCOPES],
        audience=call.gatekeeper.settings.public_url,
        resource=call.resource.page.removeprefix("/"),
        errors=errors or {},
    )


def _path(call: Call) -> str:
    return f"/admin/repositories/{call.repo.kind.value}/{call.repo.full_name}/jobs"


def _back(call: Call, done: str) -> Response:
    return RedirectResponse(f"{_path(call)}?done={done}", 303)


ROUTES = [
    guarded(_PATH, show, needs=Action.MANAGE),
    guarded(_PATH, trust, needs=Action.MANAGE, methods=("POST",), is_dangerous=True),
    guarded(f"{_PATH}/{{id}}/remove", remove, needs=Action.MANAGE, methods=("POST",), is_dangerous=True),
]
