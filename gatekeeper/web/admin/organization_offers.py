"""Invitations into organizations: answered by whom they are for, taken back by who may invite."""

from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts
from gatekeeper.authz import Action
from gatekeeper.web.admin.scope import managed_organization
from gatekeeper.web.guard import Call, guarded

_PAGE = "/admin/organizations"


async def accept(call: Call) -> Response:
    """`POST /admin/invitations/{id}/accept`."""
    await accounts.offers.accept(call.session, call.params["id"], by=call.principal)
    return RedirectResponse(f"{_PAGE}?done=invitation-accepted", 303)


async def decline(call: Call) -> Response:
    """`POST /admin/invitations/{id}/decline`."""
    await accounts.offers.decline(call.session, call.params["id"], by=call.principal)
    return RedirectResponse(f"{_PAGE}?done=invitation-declined", 303)


async def withdraw(call: Call) -> Response:
    """`POST /admin/organizations/{organization}/invitations/{id}/withdraw`."""
    await accounts.offers.withdraw(call.session, await managed_organization(call), call.params["id"], by=call.principal)
    return RedirectResponse(f"{_PAGE}?done=invitation-withdrawn", 303)


ROUTES = [
    guarded("/admin/invitations/{id}/accept", accept, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    guarded("/admin/invitations/{id}/decline", decline, needs=Action.MANAGE_ACCOUNT, methods=("POST",)),
    # The organization is decided about in `managed_organization`.
    guarded(
        f"{_PAGE}/{{organization}}/invitations/{{id}}/withdraw", withdraw, needs=Action.USE_ACCOUNT, methods=("POST",)
    ),
]
