"""Another name for oneself: what it does is said before it is done."""

from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatekeeper import accounts, owners
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import me, render


async def show(call: Call) -> Response:
    """`GET /settings/name`."""
    return await _page(call, await me(call))


async def rename(call: Call) -> Response:
    """`POST /settings/name`."""
    person = await me(call)
    name = forms.text(await forms.read(call.request), "name", most=100).strip()
    try:
        async with call.session.begin_nested():
            await owners.rename(call.session, person, name, by=call.principal)
    except (Conflict, Invalid) as error:
        await call.session.refresh(person)
        return await _page(call, person, name=name, errors={"name": error.sentence}, status=422)
    return RedirectResponse("/settings?done=person-renamed", 303)


async def _page(
    call: Call, person: accounts.Person, *, name: str = "", errors: dict[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return render(
        call,
        "portal/name.html",
        status=status,
        person=person,
        named=await owners.named(call.session, person),
        former=await accounts.namespaces.former_names(call.session, person.id),
        name=name,
        errors=errors or {},
    )


ROUTES = [
    guarded("/settings/name", show, needs=Action.MANAGE_ACCOUNT, is_dangerous=True),
    guarded("/settings/name", rename, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
]
