"""My data: everything the hub knows about me to take away, and the end of my account."""

import json

from starlette.responses import RedirectResponse, Response

from gatekeeper import privacy
from gatekeeper.authz import Action
from gatekeeper.db import after_commit
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import me, render
from gatekeeper.web.principal import cookie_name

_PRIVATE = "private, no-store"


async def show(call: Call) -> Response:
    """`GET /settings/data`: what can be taken away, and what deleting the account would do."""
    return await _page(call)


async def export(call: Call) -> Response:
    """`GET /api/account/data`: everything that is known about the caller, as JSON; for a browser's session only."""
    value = await privacy.export_of(call.session, await me(call))
    headers = {"Cache-Control": _PRIVATE, "Content-Disposition": 'attachment; filename="my-data.json"'}
    return Response(json.dumps(value, ensure_ascii=False, indent=2), media_type="application/json", headers=headers)


async def delete(call: Call) -> Response:
    """`POST /settings/data/delete`: takes a recent sign-in and one's own name, for there is no way back."""
    form = await forms.read(call.request)
    house = call.gatekeeper
    try:
        if forms.text(form, "name", most=100).strip() != call.principal.name:
            raise Invalid("This is not your name.", next_step="Type it as it is.", status=422)
        # What stands in the way is found before anything is changed.
        await privacy.erase(call.session, await me(call), images=house.images, by=call.principal)
    except (Conflict, Invalid) as error:
        return await _page(call, errors={"name": error.sentence}, status=error.status)
    after_commit(call.session, house.db.purge)
    response = RedirectResponse("/?done=account-deleted", 303)
    response.delete_cookie(cookie_name(house), path="/", secure=house.settings.is_https, httponly=True, samesite="lax")
    return response


async def _page(call: Call, *, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    person = await me(call)
    return render(
        call,
        "portal/personal.html",
        status=status,
        person=person,
        foreseen=await privacy.foresee(call.session, person),
        settings=call.gatekeeper.settings,
        errors=errors or {},
    )


ROUTES = [
    guarded("/settings/data", show, needs=Action.MANAGE_ACCOUNT),
    guarded("/settings/data/delete", delete, needs=Action.MANAGE_ACCOUNT, methods=("POST",), is_dangerous=True),
    # Under both addresses: a page's leads through signing in again, the other tells a program.
    guarded("/settings/data/my-data.json", export, needs=Action.MANAGE_ACCOUNT, is_dangerous=True),
    guarded("/api/account/data", export, needs=Action.MANAGE_ACCOUNT, is_dangerous=True),
]
