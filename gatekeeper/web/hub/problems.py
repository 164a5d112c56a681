"""Reporting a problem with a repository from a program."""

from starlette.responses import JSONResponse, Response

from gatekeeper.authz import Action
from gatekeeper.web import problems
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api


async def report(call: Call) -> Response:
    """`POST .../report`: `{"problem", "text"}` tells who handles incidents there. 201 with its id."""
    sent = schemas.parse(schemas.Problem, await call.request.body())
    made = await problems.take(call, call.repo, problem=sent.problem, text=sent.text)
    return JSONResponse({"id": made.id}, 201)


ROUTES = [api("/{kind:kind}/{ns}/{name}/report", report, needs=Action.REPORT, methods=("POST",))]
