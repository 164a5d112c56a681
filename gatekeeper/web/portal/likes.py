"""Liking a model, and taking that back."""

from starlette.responses import RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.repos import popularity
from gatekeeper.web.guard import Call
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal.views import repo_url


async def like(call: Call) -> Response:
    """`POST /{ns}/{name}/like`."""
    await popularity.like(call.session, call.repo, by=call.principal)
    return RedirectResponse(repo_url(call.repo), 303)


async def unlike(call: Call) -> Response:
    """`POST /{ns}/{name}/unlike`."""
    await popularity.unlike(call.session, call.repo, by=call.principal)
    return RedirectResponse(repo_url(call.repo), 303)


ROUTES = [
    *for_kinds("/{ns}/{name}/like", like, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    *for_kinds("/{ns}/{name}/unlike", unlike, needs=Action.KNOW, methods=("POST",)),
]
