"""One report, beside another one if asked: plots, tables, images, exports; talking about it and contesting it."""

from typing import Any

from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from gatekeeper.authz import Action
from gatekeeper.community import Discussion, discussions
from gatekeeper.errors import NotFound
from gatekeeper.evaluation import EvaluationReport, ReportKind, reports
from gatekeeper.kit.clock import day_words
from gatekeeper.web import bias, comparing, reported, running
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal import exploring, forms, safety_report
from gatekeeper.web.portal.evaluations import Listed, home, visible
from gatekeeper.web.portal.exploring import Chosen
from gatekeeper.web.portal.views import render, see


async def page(call: Call) -> Response:
    """`GET /{ns}/{name}/evaluations/{id}`; `?against=` puts another report beside it."""
    report, query = await reported.report_of(call), call.request.query_params
    others = [e for e in await visible(call) if e.report.kind is report.kind and e.report.id != report.id]
    other = next((each.report for each in others if each.report.id == query.get("against")), None)
    seen = await see(call, call.repo, call.resource)
    is_bias = report.kind is ReportKind.BIAS
    return render(
        call,
        "portal/bias_report.html" if is_bias else "portal/safety_report.html",
        head=seen.head,
        home=home(call.repo),
        report=report,
        other=other,
        against=other.id if other else "",
        others=[(each.report.id, _named(each)) for each in others],
        figure_label=bias.figure_label,
        contesting=await reports.contesting(call.session, report),
        talks=[await call.session.get_one(Discussion, id) for id in await reports.talks_of(call.session, report)],
        may_write=bool(seen.rights[Action.DISCUSS_WRITE]),
        may_contest=bool(seen.rights[Action.GENERATE]),
        **(_explored(call, report, other) if is_bias else safety_report.shown(report, other)),
    )


def _explored(call: Call, report: EvaluationReport, other: EvaluationReport | None) -> dict[str, Any]:
    chosen = Chosen.of(call.request.query_params, report)
    compared = comparing.beside(report, other)
    sides = [
        exploring.side_of(each, chosen, href=f"{home(call.repo)}/{each.id}", number=number)
        for number, each in enumerate((report, other))
        if each
    ]
    return {
        "chosen": chosen,
        "sides": sides,
        "pictures": exploring.pictures_of(sides, chosen, call.gatekeeper.pictures),
        "moved": exploring.moved(*sides) if compared["same_grid"] else [],
        "professions": [(name, name) for name in exploring.values_of(report, "profession")],
        "adjectives": [(word, word or "none") for word in exploring.values_of(report, "adjective")],
        "slider": exploring.Slider.of(report),
        "cautions": bias.CAUTIONS,
        **compared,
    }


def _named(listed: Listed) -> str:
    is_counter = " (counter-run)" if listed.report.contests else ""
    return f"{listed.title}{is_counter}, {day_words(listed.report.made_at)}"


async def as_json(call: Call) -> Response:
    """`GET .../{id}/report.json`: the signed statement and the whole body."""
    return JSONResponse(bias.as_json(await reported.report_of(call)))


async def as_csv(call: Call) -> Response:
    """`GET .../{id}/report.csv`: every share, one a line."""
    return Response(bias.as_csv(await reported.report_of(call)), media_type="text/csv; charset=utf-8")


async def picture(call: Call) -> Response:
    """`GET .../{id}/images/{file}`: one of the report's images."""
    report, digest = await reported.report_of(call), call.params["file"].removesuffix(".png")
    path = call.gatekeeper.pictures.path(digest)
    if (
        digest not in {image["sha256"] for image in report.body.get("images", []) if image["sha256"]}
        or not path.is_file()
    ):
        raise NotFound("There is no such image in this report.", next_step="Look at the report's page.")
    headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type="image/png", headers=headers)


async def discuss(call: Call) -> Response:
    """`POST .../{id}/discuss`: open a discussion about the report, or link it with one, or with a pull request."""
    report = await reported.report_of(call)
    num = forms.text(await forms.read(call.request), "num", most=12).strip().removeprefix("#")
    if num:
        found = await discussions.require(call.session, call.repo, num)
    else:
        address = f"{home(call.repo)}/{report.id}"
        text = f"About the [{report.kind} report {report.id[-6:]}]({address}) on `{report.commit_id[:10]}`."
        title = f"{report.kind.capitalize()} report on {report.commit_id[:10]}"
        found = await discussions.open_discussion(call.session, call.repo, title=title, text=text, by=call.principal)
    await reports.speak_of(call.session, report, found.id, by=call.principal)
    return RedirectResponse(f"{home(call.repo).removesuffix('/evaluations')}/discussions/{found.num}", 303)


async def contest(call: Call) -> Response:
    """`POST .../{id}/contest`: make the same images with other seeds, in the caller's own name."""
    await running.contest(call)
    return RedirectResponse(f"{home(call.repo)}?done=evaluation-started", 303)


_AT = "/{ns}/{name}/evaluations/{id}"
ROUTES = [
    guarded(_AT, page, needs=Action.KNOW),
    guarded(f"{_AT}/report.json", as_json, needs=Action.KNOW),
    guarded(f"{_AT}/report.csv", as_csv, needs=Action.KNOW),
    guarded(f"{_AT}/images/{{file}}", picture, needs=Action.KNOW),
    guarded(f"{_AT}/discuss", discuss, needs=Action.DISCUSS_WRITE, methods=("POST",)),
    guarded(f"{_AT}/contest", contest, needs=Action.GENERATE, methods=("POST",), mode="own"),
]
