"""Evaluations for programs: the list of a model's reports, and each with its signed statement."""

from starlette.responses import JSONResponse, Response

from gatekeeper.authz import Action
from gatekeeper.kit.canonical import instant_text
from gatekeeper.web import bias, reported
from gatekeeper.web.guard import Call
from gatekeeper.web.hub.doors import api

_PRIVATE = {"Cache-Control": "private, no-store"}


async def list_evaluations(call: Call) -> Response:
    """`GET .../evaluations`: the reports that the caller may read, newest first."""
    found = await reported.readable(call)
    rows = [
        {
            "id": report.id,
            "kind": report.kind.value,
            "commit": report.commit_id,
            "manifest_sha256": report.manifest_sha256,
            "grid": {"id": report.grid_id, "sha256": report.grid_sha256, **report.body["grid"]},
            "seeds": report.seeds,
            "figures": report.figures,
            "contests": report.contests,
            "made_at": instant_text(report.made_at),
        }
        for report in found
    ]
    return JSONResponse({"evaluations": rows}, headers=_PRIVATE)


async def one_evaluation(call: Call) -> Response:
    """`GET .../evaluations/{id}`: the signed statement, and the whole body that it is about."""
    return JSONResponse(bias.as_json(await reported.report_of(call)), headers=_PRIVATE)


_HOME = "/models/{ns}/{name}/evaluations"
ROUTES = [
    api(_HOME, list_evaluations, needs=Action.KNOW),
    api(f"{_HOME}/{{id}}", one_evaluation, needs=Action.KNOW),
]
