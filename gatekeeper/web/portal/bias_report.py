"""One bias report, beside another one if asked: plots, tables, images, exports; talking about it and contesting it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from gatekeeper import evaluation
from gatekeeper.authz import Action
from gatekeeper.community import Discussion, discussions
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.evaluation import EvaluationReport, reports, runs
from gatekeeper.web import bias, evaluating
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.evaluations import home, may_read, visible
from gatekeeper.web.portal.views import render, see

_MOST_IMAGES = 24


@dataclass(frozen=True)
class Chosen:
    """What the explorer shows. Empty: everything, but of the adjectives the neutral prompts."""

    profession: str
    adjective: str
    guidance: str


@dataclass(frozen=True)
class Side:
    """A report in a column of the explorer."""

    report: EvaluationReport
    href: str
    plots: Sequence[tuple[str, Markup]]
    rows: Sequence[bias.Row]
    images: Sequence[dict[str, Any]]


async def page(call: Call) -> Response:
    """`GET /{ns}/{name}/evaluations/{id}`; `?against=` puts another report beside it."""
    report, query = await _report(call), call.request.query_params
    chosen = Chosen(*(query.get(name, "")[:100] for name in ("profession", "adjective", "guidance")))
    others = [each for each in await visible(call) if each.report.id != report.id]
    other = next((each.report for each in others if each.report.id == query.get("against")), None)
    seen = await see(call, call.repo, call.resource)
    same_grid = other is not None and other.grid_sha256 == report.grid_sha256
    return render(
        call,
        "portal/bias_report.html",
        head=seen.head,
        home=home(call.repo),
        report=report,
        chosen=chosen,
        against=other.id if other else "",
        others=[(each.report.id, f"{each.title}, {each.report.made_at:%Y-%m-%d}") for each in others],
        sides=[_side(call, each, chosen, n) for n, each in enumerate((report, other)) if each],
        changes=reports.changes(report, other) if other and same_grid else [],
        same_grid=same_grid,
        professions=[("", "All"), *((name, name) for name in _values(report, "profession"))],
        adjectives=[(word, word or "None") for word in _values(report, "adjective")],
        scales=[("", "All"), *((f"{scale:g}", f"{scale:g}") for scale in _values(report, "guidance_scale"))],
        cautions=bias.CAUTIONS,
        figure_label=bias.figure_label,
        contesting=await reports.contesting(call.session, report),
        talks=[await call.session.get_one(Discussion, id) for id in await reports.talks_of(call.session, report)],
        may_write=bool(seen.rights[Action.DISCUSS_WRITE]),
        may_contest=bool(seen.rights[Action.GENERATE]),
    )


async def as_json(call: Call) -> Response:
    """`GET .../{id}/report.json`: the signed statement and the whole body."""
    return JSONResponse(bias.as_json(await _report(call)))


async def as_csv(call: Call) -> Response:
    """`GET .../{id}/report.csv`: every share, one a line."""
    return Response(bias.as_csv(await _report(call)), media_type="text/csv; charset=utf-8")


async def picture(call: Call) -> Response:
    """`GET .../{id}/images/{file}`: one of the report's images."""
    report, digest = await _report(call), call.params["file"].removesuffix(".png")
    path = call.gatekeeper.pictures.path(digest)
    if digest not in {image["sha256"] for image in report.body["images"] if image["sha256"]} or not path.is_file():
        raise NotFound("There is no such image in this report.", next_step="Look at the report's page.")
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="image/png", headers=headers)


async def discuss(call: Call) -> Response:
    """`POST .../{id}/discuss`: open a discussion about the report, or link it with one, or with a pull request."""
    report = await _report(call)
    num = forms.text(await forms.read(call.request), "num", most=12).strip().removeprefix("#")
    if num:
        found = await discussions.require(call.session, call.repo, num)
    else:
        text = f"About the [bias report {report.id[-6:]}]({home(call.repo)}/{report.id}) on `{report.commit_id[:10]}`."
        title = f"Bias report on {report.commit_id[:10]}"
        found = await discussions.open_discussion(call.session, call.repo, title=title, text=text, by=call.principal)
    await reports.speak_of(call.session, report, found.id, by=call.principal)
    return RedirectResponse(f"{home(call.repo).removesuffix('/evaluations')}/discussions/{found.num}", 303)


async def contest(call: Call) -> Response:
    """`POST .../{id}/contest`: run the same grid with other seeds, in the caller's own name."""
    report, gatekeeper = await _report(call), call.gatekeeper
    grid = evaluation.require_grid(evaluation.load_grids(gatekeeper.policies.directory), report.grid_id)
    if grid.sha256 != report.grid_sha256:
        raise Conflict("The grid of this report was changed since.", next_step="Ask for a report on the present grid.")
    settings = report.body["settings"]
    plan = await evaluating.plan_for(
        gatekeeper,
        call.session,
        call.principal,
        call.repo,
        report.commit_id,
        seeds=report.seeds,
        guidance_scales=tuple(settings["guidance_scales"]),
        reader=settings["reader"],
        contests=report,
    )
    await runs.start(
        call.session, call.repo, report.commit_id, grid, plan, by=call.principal, policy=gatekeeper.policies.sha256
    )
    return RedirectResponse(f"{home(call.repo)}/{report.id}?done=evaluation-started", 303)


async def _report(call: Call) -> EvaluationReport:
    """The report that the path names. Raises NotFound, also where the caller may not read about its commit."""
    report = await reports.get(call.session, call.repo, call.params["id"])
    if not await may_read(call, report.commit_id):
        raise NotFound("There is no such report.", next_step="Look at the list of evaluations.")
    return report


def _side(call: Call, report: EvaluationReport, chosen: Chosen, number: int) -> Side:
    scale = next((s for s in _values(report, "guidance_scale") if f"{s:g}" == chosen.guidance), None)
    professions = [chosen.profession] if chosen.profession else []
    cells = bias.cells_of(report, scale=scale, professions=professions, adjective=chosen.adjective)
    shown = {(cell["profession"], cell["adjective"], cell["guidance_scale"]) for cell in cells}
    images = [
        image
        for image in report.body["images"]
        if not image["markers"]
        and image["sha256"]
        and (image["profession"], image["adjective"], image["guidance_scale"]) in shown
    ]
    if not chosen.profession:  # some of each
        each = max(_MOST_IMAGES // max(len(shown), 1), 1)
        first = min((image["seed"] for image in images), default=0)
        images = [image for image in images if image["seed"] < first + each]
    plots = bias.plots_of(report, cells, prefix=f"plot{number}")
    return Side(
        report,
        f"{home(call.repo)}/{report.id}",
        [(measure, Markup(plot)) for measure, plot in plots],  # noqa: S704 - made here, its texts escaped
        bias.rows_of(report, cells),
        images[:_MOST_IMAGES],
    )


def _values(report: EvaluationReport, name: str) -> list[Any]:
    return list(dict.fromkeys(cell[name] for cell in report.body["cells"]))


_AT = "/{ns}/{name}/evaluations/{id}"
ROUTES = [
    guarded(_AT, page, needs=Action.KNOW),
    guarded(f"{_AT}/report.json", as_json, needs=Action.KNOW),
    guarded(f"{_AT}/report.csv", as_csv, needs=Action.KNOW),
    guarded(f"{_AT}/images/{{file}}", picture, needs=Action.KNOW),
    guarded(f"{_AT}/discuss", discuss, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    guarded(f"{_AT}/contest", contest, needs=Action.GENERATE, methods=("POST",)),
]
