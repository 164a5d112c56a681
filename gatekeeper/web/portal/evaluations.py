"""Evaluations of a model: the list of reports and runs, starting and stopping a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from gatekeeper import evaluation, laboratory, releases
from gatekeeper.authz import Action
from gatekeeper.community import discussions
from gatekeeper.errors import Conflict, Invalid, NotFound, Unavailable
from gatekeeper.evaluation import AnyGrid, EvaluationReport, EvaluationRun, ReportKind, RunState
from gatekeeper.generation import Health, measuring
from gatekeeper.laboratory import Wanted
from gatekeeper.repos import Repo, history
from gatekeeper.web import bias, reported, running
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see
from gatekeeper.web.wording.stages import STAGES

_BODY_LIMIT = 2**20
# Of the two forms; whichever sends `prompts` is about safety.
_FIELDS = (
    "grid", "revision", "seeds", "guidance", "sld", "reader",
    "prompts", "files", "images", "steps", "stage", "most",
)  # fmt: skip
STATES = {
    RunState.RUNNING: "Going on",
    RunState.PAUSED: "Paused",
    RunState.DONE: "Done",
    RunState.FAILED: "Ended without a report",
    RunState.CANCELLED: "Cancelled",
}


@dataclass(frozen=True)
class Listed:
    """A report in a list."""

    report: EvaluationReport
    href: str
    title: str
    stage: str


@dataclass(frozen=True)
class Run:
    """A run in a list; `by` is who started it."""

    run: EvaluationRun
    by: str
    may_steer: bool


async def index(call: Call) -> Response:
    """`GET /{ns}/{name}/evaluations`."""
    worker = await laboratory.health_of(call.gatekeeper.studio) if running.manages(call) else None
    return await _page(call, {}, {}, worker=worker)


async def start(call: Call) -> Response:
    """`POST /{ns}/{name}/evaluations`: begin a run."""
    await read_body(call.request, limit=_BODY_LIMIT)
    form = await forms.read(call.request)
    sent: dict[str, Any] = {name: forms.text(form, name, most=200).strip() for name in _FIELDS}
    sent["levels"], sent["checks"] = forms.texts(form, "level"), forms.texts(form, "checks")
    health = await laboratory.health_of(call.gatekeeper.studio)
    async with call.writing() as inside:
        try:
            async with inside.session.begin_nested():
                await _begin(inside, sent, health)
        except (Invalid, Conflict, NotFound, Unavailable) as error:
            fields = error.details.get("fields")
            wrong = {str(name): str(text) for name, text in fields.items()} if isinstance(fields, dict) else {}
            return await _page(inside, sent, wrong or {"": error.sentence}, worker=health, status=error.status)
    return RedirectResponse(f"{home(call.repo)}?done=evaluation-started", 303)


async def steer_run(call: Call) -> Response:
    """`POST /{ns}/{name}/evaluations/runs/{run}/{act}`: pause, resume or cancel a run."""
    await running.steer(call)
    return RedirectResponse(f"{home(call.repo)}?done=evaluation-changed", 303)


async def _begin(call: Call, sent: dict[str, Any], health: Health | None) -> None:
    revision = sent["files"] if sent["prompts"] else sent["revision"]
    commit = await history.resolve_revision(call.session, call.repo, revision or "main")
    by, policies = call.principal, call.gatekeeper.policies
    await laboratory.begin(call.session, call.repo, commit, _wanted(sent), by=by, policies=policies, health=health)


def _wanted(sent: dict[str, Any]) -> Wanted:
    """What a form asks for. Raises Invalid."""
    try:
        seeds, images, steps, most = (int(sent[n]) if sent[n] else None for n in ("seeds", "images", "steps", "most"))
        scales = tuple(float(part) for part in _parts(sent["guidance"]))
    except ValueError:
        raise Invalid("Seeds and guidance are numbers.", status=422, next_step="Write 4 1.5 for two scales.") from None
    if sent["prompts"]:
        return Wanted(
            sent["prompts"],
            ReportKind.SAFETY,
            seeds=images,
            sld_levels=tuple(sent["levels"]),
            steps=steps,
            further_checks=tuple(sent["checks"]),
            stage=sent["stage"] or None,
            most=most,
        )
    sld_levels = (sent["sld"],) if sent["sld"] else ()
    return Wanted(
        sent["grid"], seeds=seeds, sld_levels=sld_levels, guidance_scales=scales, reader=sent["reader"] or None
    )


def _parts(text: str) -> list[str]:
    return text.replace(",", " ").split()


async def _page(
    call: Call, sent: dict[str, Any], errors: dict[str, str], *, worker: Health | None, status: int = 200
) -> Response:
    seen = await see(call, call.repo, call.resource)
    may_run = bool(seen.rights[Action.GENERATE]) and running.manages(call)
    return render(
        call,
        "portal/evaluations.html",
        status=status,
        head=seen.head,
        home=home(call.repo),
        # Runs are read first: of one that is done the report stands there, too.
        runs=await _runs(call),
        reports=await visible(call),
        figure_label=bias.figure_label,
        states=STATES,
        may_run=may_run,
        readers=[(each.sha256, f"{each.name} ({each.sha256[:12]})") for each in worker.readers] if worker else [],
        checks=worker.image_checks if worker else (),
        grids=_listed(evaluation.load_grids(call.gatekeeper.policies.directory)),
        prompt_sets=_listed(evaluation.load_prompt_sets(call.gatekeeper.policies.directory)),
        levels=[(level, level) for level in measuring.SLD_LEVELS],
        stages=[(stage.value, STAGES[stage].label) for stage in releases.Stage],
        sent=sent,
        errors=errors,
    )


def _listed(grids: Mapping[str, AnyGrid]) -> list[tuple[str, str]]:
    return [(grid.id, f"{grid.title} ({grid.id}, {grid.version})") for grid in grids.values()]


async def _runs(call: Call) -> list[Run]:
    found = await running.visible(call)
    names = await discussions.names_of(call.session, {run.started_by for run in found})
    me = call.principal.person_id
    return [
        Run(
            run,
            "you" if run.started_by == me else names.get(run.started_by or "", "somebody who is no longer here"),
            running.may_steer(call, run),
        )
        for run in found
    ]


def home(repo: Repo) -> str:
    """Address of the model's list of evaluations."""
    return f"{repo_url(repo)}/evaluations"


async def visible(call: Call, *, limit: int = 50, first: str = "") -> list[Listed]:
    """The repository's reports on commits whose card the caller may read, newest first, but those on `first` before."""
    found = []
    for report in await reported.readable(call, limit=limit, first=first):
        release = await releases.stage_of(call.session, call.repo, report.commit_id)
        title = f"{report.body['grid']['title']} on {report.commit_id[:10]}"
        stage = release.stage.value if release and call.repo.is_staged else ""
        found.append(Listed(report, f"{home(call.repo)}/{report.id}", title, stage))
    return found


ROUTES = [
    guarded("/{ns}/{name}/evaluations", index, needs=Action.KNOW),
    guarded("/{ns}/{name}/evaluations", start, needs=Action.MANAGE, methods=("POST",), mode="own"),
    guarded("/{ns}/{name}/evaluations/runs/{run}/{act}", steer_run, needs=Action.KNOW, methods=("POST",)),
]
