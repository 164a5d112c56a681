"""One person, for the hub's administrators: where they are signed in, what acts for them, and ending any of it."""

from starlette.responses import RedirectResponse, Response

from gatekeeper import accounts, tokens
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.tokens import oauth
from gatekeeper.web.admin.people import named
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.oauth.applications import connected
from gatekeeper.web.portal.account import browsers_of
from gatekeeper.web.portal.views import render
from gatekeeper.web.templating import segment

_PATH = "/admin/people/{person}"


async def show(call: Call) -> Response:
    """`GET /admin/people/{person}`."""
    person = await named(call)
    path = f"/admin/people/{segment(person.name)}"
    return render(
        call,
        "admin/person.html",
        base=path,
        person=person,
        organizations=await accounts.organizations.organizations_of(call.session, person.id),
        browsers=await browsers_of(call, call.session, person.id),
        connected=await connected(call, person.id, base=f"{path}/applications"),
        tokens=await tokens.list_for(call.session, person.id),
        used=await tokens.last_used(call.session, person.id),
    )


async def end_session(call: Call) -> Response:
    """`POST /admin/people/{person}/sessions/{id}/end`: signs one browser of theirs out."""
    await accounts.sessions.end_of(call.session, await named(call), call.params["id"], by=call.principal)
    return _back(call, "session-ended")


async def end_sessions(call: Call) -> Response:
    """`POST /admin/people/{person}/sessions/end`: signs every browser of theirs out."""
    await accounts.sessions.end_all(call.session, await named(call), by=call.principal, keep=call.principal.session_id)
    return _back(call, "person-signed-out")


async def revoke_grant(call: Call) -> Response:
    """`POST /admin/people/{person}/applications/{id}/revoke`: ends one login of a program."""
    person = await named(call)
    if call.params["id"] not in {grant.id for grant in await oauth.grants.list_for(call.session, person.id)}:
        raise NotFound("They have no such connected application.", next_step="Take it from their page.")
    await oauth.grants.revoke(call.session, call.params["id"], by=call.principal)
    return _back(call, "application-revoked")


async def withdraw(call: Call) -> Response:
    """`POST /admin/people/{person}/applications/sites/{id}/revoke`: ends a site, which will have to ask them again."""
    await oauth.applications.withdraw(call.session, call.params["id"], by=call.principal, of=await named(call))
    return _back(call, "application-revoked")


async def revoke_token(call: Call) -> Response:
    """`POST /admin/people/{person}/tokens/{id}/revoke`."""
    person = await named(call)
    if call.params["id"] not in {token.id for token in await tokens.list_for(call.session, person.id)}:
        raise NotFound("They have no such token.", next_step="Take it from their page.")
    await tokens.revoke(call.session, call.params["id"], by=call.principal)
    return _back(call, "token-revoked")


async def enable(call: Call) -> Response:
    """`POST /admin/people/{person}/enable`: lets somebody in again who was disabled."""
    await accounts.people.enable(call.session, await named(call), by=call.principal)
    return _back(call, "person-enabled")


def _back(call: Call, done: str) -> Response:
    return RedirectResponse(f"/admin/people/{segment(call.params['person'])}?done={done}", 303)


_ACTS = {
    "sessions/end": end_sessions,
    "sessions/{id}/end": end_session,
    "applications/{id}/revoke": revoke_grant,
    "applications/sites/{id}/revoke": withdraw,
    "tokens/{id}/revoke": revoke_token,
    "enable": enable,
}
ROUTES = [
    guarded(_PATH, show, needs=Action.ADMIN_PEOPLE),
    *(
        guarded(f"{_PATH}/{path}", act, needs=Action.ADMIN_PEOPLE, methods=("POST",), is_dangerous=True)
        for path, act in _ACTS.items()
    ),
]
