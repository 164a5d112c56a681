"""Evaluations for programs: a model's reports, each with its signed statement, and runs that are begun and steered."""

from starlette.responses import JSONResponse, Response

from gatekeeper import laboratory
from gatekeeper.authz import Action
from gatekeeper.evaluation import EvaluationRun, RunState, reports
from gatekeeper.kit.canonical import instant_text
from gatekeeper.repos import history
from gatekeeper.web import bias, reported, running
from gatekeeper.web.guard import Call, read_body
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api

_BODY_LIMIT = 2**20
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


async def begin(call: Call) -> Response:
    """`POST .../evaluations`: begin a run, with a grid (kind "bias") or a set of prompts (kind "safety")."""
    asked = schemas.parse(schemas.NewEvaluation, await read_body(call.request, limit=_BODY_LIMIT))
    health = await laboratory.health_of(call.gatekeeper.studio)
    async with call.writing() as inside:
        commit = await history.resolve_revision(inside.session, inside.repo, asked.revision)
        run = await laboratory.begin(
            inside.session,
            inside.repo,
            commit,
            asked.wanted,
            by=inside.principal,
            policies=call.gatekeeper.policies,
            health=health,
        )
    return JSONResponse(_told(run), 201, headers=_PRIVATE)


async def contest(call: Call) -> Response:
    """`POST .../evaluations/{id}/contest`: begin a counter-run: the same images with other seeds."""
    run = await running.contest(call)
    return JSONResponse(_told(run), 201, headers=_PRIVATE)


async def one_run(call: Call) -> Response:
    """`GET .../evaluation-runs/{run}`: how a run stands, and its report once there is one."""
    run = await running.run_of(call)
    report = await reports.of_run(call.session, run) if run.state is RunState.DONE else None
    return JSONResponse(_told(run) | {"report": report.id if report else None}, headers=_PRIVATE)


async def steer_run(call: Call) -> Response:
    """`POST .../evaluation-runs/{run}/{act}`: pause, resume or cancel a run, one's own or one's model's."""
    return JSONResponse(_told(await running.steer(call)), headers=_PRIVATE)


def _told(run: EvaluationRun) -> dict[str, object]:
    return {
        "id": run.id,
        "kind": run.kind.value,
        "grid": {"id": run.grid_id, "sha256": run.grid_sha256},
        "commit": run.commit_id,
        "settings": run.settings,
        "contests": run.contests,
        "state": run.state.value,
        "reason": run.reason,
        "images_total": run.images_total,
        "images_done": run.images_done,
    }


_HOME = "/models/{ns}/{name}/evaluations"
_RUN = "/models/{ns}/{name}/evaluation-runs/{run}"
ROUTES = [
    api(_HOME, list_evaluations, needs=Action.KNOW),
    api(_HOME, begin, needs=Action.MANAGE, methods=("POST",), mode="own"),
    api(f"{_HOME}/{{id}}", one_evaluation, needs=Action.KNOW),
    api(f"{_HOME}/{{id}}/contest", contest, needs=Action.GENERATE, methods=("POST",), mode="own"),
    api(_RUN, one_run, needs=Action.KNOW),
    api(f"{_RUN}/{{act}}", steer_run, needs=Action.KNOW, methods=("POST",)),
]
