"""Beginning evaluations: what is wanted of a grid, with the safety that whoever wants it gets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import evaluation, releases
from gatekeeper.accounts import Principal
from gatekeeper.authz import Policies
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.evaluation import AnyGrid, EvaluationReport, EvaluationRun, Grid, ReportKind, Shot, runs
from gatekeeper.generation import Health, OrderRequest, SafetyLevel, measuring
from gatekeeper.laboratory import attached
from gatekeeper.laboratory.rights import WeakerSafety, rights
from gatekeeper.releases import Act, Ladder, Stage
from gatekeeper.repos import Repo

_ONLY_OF = {
    ReportKind.BIAS: ("guidance_scales", "reader"),
    ReportKind.SAFETY: ("steps", "further_checks", "most", "sample_seed"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for; None and empty: as the grid or the set of prompts has it, and the stage demands it.

    grid         id of a grid, or of a set of prompts
    sld_levels   of steering: one for a grid, each of which a set is made with (all, if none is named)
    most         prompts of a set, drawn by `sample_seed` from each side and category
    further_checks  second opinions on the images of a set
    stage        whose safety holds, "" for the revision's own; None: the one that the report is likely to be for
    """

    grid: str
    kind: ReportKind = ReportKind.BIAS
    seeds: int | None = None
    sld_levels: tuple[str, ...] = ()
    guidance_scales: tuple[float, ...] = ()
    reader: str | None = None
    steps: int | None = None
    further_checks: tuple[str, ...] = ()
    stage: str | None = None
    most: int | None = None
    sample_seed: int | None = None


async def begin(
    session: AsyncSession,
    repo: Repo,
    commit: str,
    wanted: Wanted,
    *,
    by: Principal,
    policies: Policies,
    health: Health | None,
    contests: EvaluationReport | None = None,
) -> EvaluationRun:
    """Start a run. Raises NotFound, NotAllowed, Conflict, Invalid.

    health  of the inference process, asked before the transaction began (`health_of`); None: it did not answer, and
            the run waits for it
    """
    _check(wanted)
    directory = policies.directory
    grid: AnyGrid = (
        evaluation.require_grid(evaluation.load_grids(directory), wanted.grid)
        if wanted.kind is ReportKind.BIAS
        else evaluation.require_prompt_set(evaluation.load_prompt_sets(directory), wanted.grid)
    )
    stage, level = await _safety(session, by, repo, commit, wanted, policies=policies)
    safety = measuring.safety_of(level)
    if isinstance(grid, Grid):
        chosen = OrderRequest.parse({"prompt": "-", "sld_level": next(iter(wanted.sld_levels), None)}, level=level)
        settings = grid.plan(
            replace(safety, sld_level=chosen.sld_level.value),
            stage=stage,
            seeds=wanted.seeds,
            guidance_scales=wanted.guidance_scales or None,
            reader=wanted.reader,
        )
    else:
        further = [name for name in dict.fromkeys(wanted.further_checks) if name not in level.image_checks]
        level = measuring.behind_rules(level, further)
        levels = tuple(dict.fromkeys(wanted.sld_levels)) or measuring.SLD_LEVELS
        for each in levels:
            OrderRequest.parse({"prompt": "-", "sld_level": each, "steps": wanted.steps}, level=level)
        grid = grid.sample(wanted.most, wanted.sample_seed or 0) if wanted.most is not None else grid
        settings = grid.plan(
            safety,
            sld_levels=levels,
            further_checks=further,
            stage=stage,
            seeds=wanted.seeds,
            steps=wanted.steps,
        )
    if health is not None and (lost := attached.lacking(health, grid.kind, settings)):
        raise Invalid(" ".join(lost.values()), status=422, details={"fields": lost})
    _check_orders(grid, settings, level)
    return await runs.start(session, repo, commit, grid, settings, by=by, contests=contests)


async def contest(
    session: AsyncSession,
    repo: Repo,
    report: EvaluationReport,
    *,
    by: Principal,
    policies: Policies,
    health: Health | None,
) -> EvaluationRun:
    """Start a counter-run: the same prompts and as many images, with other seeds.

    Raises Conflict for an old grid, and where the caller may not choose the steering that the report was made with.
    """
    settings = report.body["settings"]
    require_unchanged(report, settings, directory=policies.directory)
    wanted = Wanted(report.grid_id, report.kind, seeds=report.seeds, stage=settings.get("stage", ""))
    if report.kind is ReportKind.BIAS:
        scales = tuple(settings["guidance_scales"])
        wanted = replace(wanted, guidance_scales=scales, reader=settings["reader"], sld_levels=(settings["sld_level"],))
    else:
        drawn = settings["sample"] or {"most": None, "seed": None}
        wanted = replace(
            wanted,
            sld_levels=tuple(settings["sld_levels"]),
            steps=settings["steps"],
            further_checks=tuple(settings.get("further_checks", settings["image_checks"])),
            most=drawn["most"],
            sample_seed=drawn["seed"],
        )
    try:
        return await begin(
            session, repo, report.commit_id, wanted, by=by, policies=policies, health=health, contests=report
        )
    except Invalid as wrong:
        raise Conflict(
            f"A counter-run is made as its report was, and that cannot be done here now. {wrong.message}",
            next_step="A grant for a stated purpose may open more; or discuss the report instead.",
        ) from wrong


def order_of(shot: Shot[Any], settings: Mapping[str, Any], *, images: int = 1) -> dict[str, Any]:
    """What is ordered for a shot and those with the seeds after it."""
    return {
        "prompt": shot.prompt.text,
        "negative_prompt": shot.prompt.negative,
        "steps": settings["steps"],
        "bucket": settings["bucket"],
        "guidance_scale": shot.guidance_scale,
        "sld_level": shot.sld_level,
        "seed": shot.seed,
        "images": images,
    }


def require_unchanged(
    of: EvaluationRun | EvaluationReport, settings: Mapping[str, Any], *, directory: Path | None
) -> AnyGrid:
    """The grid of a run or a report. Raises Conflict when it was changed since: its images are no longer the grid's."""
    load = evaluation.load_grids if of.kind is ReportKind.BIAS else evaluation.load_prompt_sets
    found: AnyGrid | None = load(directory).get(of.grid_id)
    if found is not None and not isinstance(found, Grid) and settings["sample"]:
        found = found.sample(**settings["sample"])
    if found is None or found.sha256 != of.grid_sha256:
        raise Conflict("The grid was changed since this evaluation began.", next_step="Start a new one.")
    return found


async def _safety(
    session: AsyncSession, by: Principal, repo: Repo, commit: str, wanted: Wanted, *, policies: Policies
) -> tuple[str, SafetyLevel]:
    """The stage whose safety a run is made with, "" for the revision's own, and this safety. Raises NotAllowed."""
    stage = wanted.stage
    if stage is None:
        stage = await _target(session, repo, commit, wanted.kind, directory=policies.directory)
    try:
        _, level, _ = await rights(session, by, repo, commit, policies=policies, kind=wanted.kind, stage=stage)
    except WeakerSafety:
        if wanted.stage is not None:
            raise
        stage = ""
        _, level, _ = await rights(session, by, repo, commit, policies=policies, kind=wanted.kind)
    return stage, level


async def _target(session: AsyncSession, repo: Repo, commit: str, kind: ReportKind, *, directory: Path | None) -> str:
    """The stage that a report is likely to be for: the proposed one, else the next that asks for such reports."""
    release = await releases.stage_of(session, repo, commit) if repo.is_staged else None
    if release is None:
        return ""
    proposal = await releases.open_proposal(session, release)
    if proposal is not None and proposal.act is Act.PROMOTE:
        return proposal.target.value
    ladder = Ladder.load(directory)
    above = [ladder.rule(stage) for stage in ladder.stages[ladder.rank(release.stage) + 1 :]]
    asking = (rule.stage.value for rule in above if (rule.bias if kind is ReportKind.BIAS else rule.safety))
    return next(asking, "")


def _check_orders(grid: AnyGrid, settings: Mapping[str, Any], level: SafetyLevel) -> None:
    """Every prompt can be ordered, so that no run stops at one in the middle. Raises Invalid naming the first."""
    # The last shot of a prompt has its highest seed.
    last = {(shot.prompt, shot.guidance_scale): shot for shot in grid.shots(settings)}
    for shot in last.values():
        try:
            OrderRequest.parse(order_of(shot, settings), level=level)
        except Invalid as wrong:
            # Prompts of sets are named by their number only.
            number = getattr(shot.prompt, "number", None)
            named = f"“{shot.prompt.text}”" if number is None else f"Prompt {number} of the set, counted from 0,"
            raise Invalid(
                f"{named} cannot be ordered here: {wrong.message}", status=422, next_step="Change it, or leave it out."
            ) from wrong


def _check(wanted: Wanted) -> None:
    other = ReportKind.SAFETY if wanted.kind is ReportKind.BIAS else ReportKind.BIAS
    if odd := [name for name in _ONLY_OF[other] if getattr(wanted, name) not in (None, "", ())]:
        raise Invalid(f"A {wanted.kind} evaluation has no {odd[0]}.", status=422, next_step="Leave it out.")
    if wanted.kind is ReportKind.BIAS and len(wanted.sld_levels) > 1:
        raise Invalid("A bias evaluation is made with one level of steering.", status=422)
    if wanted.stage and wanted.stage not in list(Stage):
        raise Invalid("There is no such stage.", status=422, next_step=f"Choose one of {', '.join(Stage)}.")
    if wanted.most is not None and wanted.most < 1:
        raise Invalid("A sample has at least one prompt.", status=422)
