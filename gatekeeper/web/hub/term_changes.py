"""Changes of a repository's terms for programs: what changed, line by line, and what kind of change it is."""

from starlette.responses import JSONResponse, Response

from gatekeeper import licensing
from gatekeeper.authz import Action
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api


async def changes(call: Call) -> Response:
    """`GET .../terms/changes`: every change of the terms, newest first, with its class and its difference."""
    found = await licensing.changes_of(call.session, call.repo)
    return JSONResponse([schemas.terms_change(each, await licensing.difference(call.session, each)) for each in found])


async def change(call: Call) -> Response:
    """`GET .../terms/changes/{id}`: one change. `seen_sha256` names the difference to whoever has read it."""
    found = await licensing.get_change(call.session, call.repo, call.params["id"])
    return JSONResponse(schemas.terms_change(found, await licensing.difference(call.session, found)))


async def classify(call: Call) -> Response:
    """`POST .../terms/changes/{id}`: `{"class", "seen_sha256", "days", "note"}` says what kind of change it is."""
    sent = schemas.parse(schemas.Classify, await call.request.body())
    found = await licensing.get_change(call.session, call.repo, call.params["id"])
    done = await licensing.classify(
        call.session,
        found,
        sent.change_class,
        by=call.principal,
        seen_sha256=sent.seen_sha256,
        grace_days=sent.days,
        note=sent.note,
    )
    return JSONResponse(schemas.terms_change(done, await licensing.difference(call.session, done)))


_CHANGES = "/{kind:kind}/{ns}/{name}/terms/changes"

ROUTES = [
    api(_CHANGES, changes, needs=Action.READ_CARD),
    api(f"{_CHANGES}/{{id}}", change, needs=Action.READ_CARD),
    api(f"{_CHANGES}/{{id}}", classify, needs=Action.MANAGE, methods=("POST",)),
]
