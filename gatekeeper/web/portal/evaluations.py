"""Bias evaluations of a model: the list of reports and runs, starting and stopping a run."""

from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from gatekeeper import authz, evaluation, releases
from gatekeeper.authz import Action
from gatekeeper.errors import Conflict, Invalid, NotFound, Unavailable
from gatekeeper.evaluation import EvaluationReport, RunState, runs
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, history
from gatekeeper.web import bias, evaluating, reported
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see

_ACTS = {"pause": RunState.PAUSED, "resume": RunState.RUNNING, "cancel": RunState.CANCELLED}
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


async def index(call: Call) -> Response:
    """`GET /{ns}/{name}/evaluations`."""
    return await _page(call, {}, {})


async def start(call: Call) -> Response:
    """`POST /{ns}/{name}/evaluations`: begin a run."""
    form = await forms.read(call.request)
    sent = {name: forms.text(form, name, most=200).strip() for name in ("revision", "grid", "seeds", "guidance", "sld")}
    sent["reader"] = forms.text(form, "reader", most=64).strip()
    try:
        async with call.session.begin_nested():
            await _start(call, sent)
    except (Invalid, Conflict, NotFound, Unavailable) as error:
        fields = error.details.get("fields")
        wrong = {str(name): str(text) for name, text in fields.items()} if isinstance(fields, dict) else {}
        return await _page(call, sent, wrong or {"": error.sentence}, status=error.status)
    return RedirectResponse(f"{home(call.repo)}?done=evaluation-started", 303)


async def change(call: Call) -> Response:
    """`POST /{ns}/{name}/evaluations/runs/{run}/{act}`: pause, resume or cancel a run."""
    act = _ACTS.get(call.params["act"])
    if act is None:
        raise NotFound("A run is paused, resumed or cancelled.", next_step="Use the buttons of the page.")
    run = await runs.get(call.session, call.repo, call.params["run"])
    await runs.change(call.session, run, act, by=call.principal, policy=call.gatekeeper.policies.sha256)
    return RedirectResponse(f"{home(call.repo)}?done=evaluation-changed", 303)


async def _start(call: Call, sent: dict[str, str]) -> None:
    gatekeeper = call.gatekeeper
    grid = evaluation.require_grid(evaluation.load_grids(gatekeeper.policies.directory), sent["grid"])
    commit = await history.resolve_revision(call.session, call.repo, sent["revision"] or "main")
    wanted: dict[str, Any] = {"sld_level": sent["sld"] or None, "reader": sent["reader"] or None}
    try:
        wanted["seeds"] = int(sent["seeds"]) if sent["seeds"] else None
        wanted["guidance_scales"] = tuple(float(part) for part in sent["guidance"].replace(",", " ").split()) or None
    except ValueError:
        raise Invalid("Seeds and guidance are numbers.", status=422, next_step="Write 4 1.5 for two scales.") from None
    plan = await evaluating.plan_for(gatekeeper, call.session, call.principal, call.repo, commit, **wanted)
    await runs.start(call.session, call.repo, commit, grid, plan, by=call.principal, policy=gatekeeper.policies.sha256)


async def _page(call: Call, sent: dict[str, str], errors: dict[str, str], *, status: int = 200) -> Response:
    seen = await see(call, call.repo, call.resource)
    may_run = bool(seen.rights[Action.GENERATE]) and await _manages(call)
    return render(
        call,
        "portal/evaluations.html",
        status=status,
        head=seen.head,
        home=home(call.repo),
        reports=await visible(call),
        figure_label=bias.figure_label,
        runs=await runs.list_for(call.session, call.repo, limit=20) if may_run else [],
        states=STATES,
        may_run=may_run,
        grids=[(g.id, f"{g.title} ({g.id}, {g.version})") for g in _grids(call).values()],
        sent=sent,
        errors=errors,
    )


def _grids(call: Call) -> Any:
    return evaluation.load_grids(call.gatekeeper.policies.directory)


async def _manages(call: Call) -> bool:
    policies = call.gatekeeper.policies
    return bool(authz.decide(policies, call.principal, Action.MANAGE, call.resource, now()))


def home(repo: Repo) -> str:
    """Address of the model's list of evaluations."""
    return f"{repo_url(repo)}/evaluations"


async def visible(call: Call, *, limit: int = 50) -> list[Listed]:
    """The repository's reports on commits whose card the caller may read, newest first."""
    found = []
    for report in await reported.readable(call, limit=limit):
        release = await releases.stage_of(call.session, call.repo, report.commit_id)
        title = f"{report.body['grid']['title']} on {report.commit_id[:10]}"
        stage = release.stage.value if release and call.repo.is_staged else ""
        found.append(Listed(report, f"{home(call.repo)}/{report.id}", title, stage))
    return found


ROUTES = [
    guarded("/{ns}/{name}/evaluations", index, needs=Action.KNOW),
    guarded("/{ns}/{name}/evaluations", start, needs=Action.MANAGE, methods=("POST",)),
    guarded("/{ns}/{name}/evaluations/runs/{run}/{act}", change, needs=Action.MANAGE, methods=("POST",)),
]
