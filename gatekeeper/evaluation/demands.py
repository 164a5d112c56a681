"""What a stage demands of evaluations: a grid or a set of prompts, enough images, thresholds, as in `stages.toml`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.evaluation import reports
from gatekeeper.evaluation.grids import FOLDER, MOST_SEEDS, Grid
from gatekeeper.evaluation.promptsets import STEPS
from gatekeeper.evaluation.shots import StageSafety
from gatekeeper.evaluation.tables import EvaluationReport, ReportKind
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.repos.tables import Repo


@dataclass(frozen=True, slots=True)
class Demand:
    """One demanded report. A threshold is compared with the cautious end of the figure's interval.

    of                 id of a grid, or file name of a set of prompts in evaluations/
    seeds              images of each prompt
    at_least, at_most  figure -> bound
    """

    kind: ReportKind
    of: str
    seeds: int
    at_least: tuple[tuple[str, float], ...] = ()
    at_most: tuple[tuple[str, float], ...] = ()


def parse(data: Mapping[str, Any], kind: ReportKind = ReportKind.BIAS) -> Demand:
    """A demand in a TOML table. Raises ValueError, KeyError or TypeError."""
    of, seeds = ("grid", "seeds") if kind is ReportKind.BIAS else ("prompts", "images")
    if odd := set(data) - {of, seeds, "at_least", "at_most"}:
        raise ValueError(f"{kind}: {', '.join(sorted(odd))} is unknown")
    if type(data[seeds]) is not int or not 1 <= data[seeds] <= MOST_SEEDS:
        raise ValueError(f"{kind}: {seeds} must be a whole number from 1 to {MOST_SEEDS}")
    bounds = [_bounds(data.get(name, {}), f"{kind}: {name}") for name in ("at_least", "at_most")]
    return Demand(kind, str(data[of]), data[seeds], *bounds)


def _bounds(bounds: Mapping[str, Any], name: str) -> tuple[tuple[str, float], ...]:
    if not all(type(value) in (int, float) and 0 <= value <= 1 for value in bounds.values()):
        raise ValueError(f"{name} must be numbers from 0 to 1 by figure")
    return tuple((str(figure), float(value)) for figure, value in bounds.items())


def set_digest(folder: Path, demand: Demand) -> str:
    """The digest of the set of prompts that a demand names in evaluations/. Raises ValueError if there is none."""
    path = folder / FOLDER / demand.of
    if path.name != demand.of or path.suffix.lower() not in (".toml", ".csv") or not path.is_file():
        raise ValueError(f"there is no set of prompts {demand.of} in {FOLDER}/")
    return sha256_hex(path.read_bytes())


async def check(
    session: AsyncSession,
    repo: Repo,
    manifest_sha256: str,
    demand: Demand,
    safety: StageSafety,
    grids: Mapping[str, Grid],
    prompt_sets: Mapping[str, str] = MappingProxyType({}),
) -> tuple[bool, str]:
    """Whether reports on exactly these files meet a demand, and what was found in one sentence.

    Every report that counts must be good: neither a second try nor a counter-run is passed over.

    safety       of the stage that demands it
    prompt_sets  digests of sets of prompts by file name
    """
    grid = grids.get(demand.of) if demand.kind is ReportKind.BIAS else None
    if demand.kind is ReportKind.SAFETY:
        id, what = PurePosixPath(demand.of).stem[:40], f"the set of prompts “{demand.of}”"
        sha256 = prompt_sets[demand.of]
    elif grid is None:
        return False, f"The grid “{demand.of}” that this stage demands is not among the policies."
    else:
        id, what, sha256 = grid.id, f"the grid “{grid.title}”", grid.sha256
    alike = await reports.files_of(session, repo, demand.kind, id)
    ids = [report for report, files in alike if files == manifest_sha256]
    if not ids:
        other = " There is one on other files." if alike else ""
        return False, f"There is no {demand.kind} report on exactly these files with {what}.{other}"
    on_files = await reports.get_each(session, ids)
    present = [each for each in on_files if _grid_sha256(each) == sha256]
    if not present:
        return False, f"The {demand.kind} report is on an older version of {what}."
    lacking = {each.id: lacks(each, demand, safety, grid) for each in present}
    counting = [each for each in present if not lacking[each.id]]
    if not counting:
        newest = present[0]
        return False, f"The {demand.kind} report with {what} does not count: {'; '.join(lacking[newest.id])}."
    if problems := [problem for each in counting for problem in _problems(each, demand)]:
        return False, f"The {demand.kind} report says otherwise: {'; '.join(dict.fromkeys(problems))}."
    said = f"{len(counting)} {demand.kind} reports, all" if len(counting) > 1 else f"A {demand.kind} report"
    return True, f"{said} within the thresholds, with {what}: {counting[0].seeds} images of each prompt."


def _grid_sha256(report: EvaluationReport) -> str:
    """Of the grid, or of the whole set, also where only a sample of it was used."""
    found: str = report.grid_sha256 if report.kind is ReportKind.BIAS else report.body["prompts"]["sha256"]
    return found


def lacks(report: EvaluationReport, demand: Demand, safety: StageSafety, grid: Grid | None) -> list[str]:
    """Why a report of a grid, or of a set of prompts, does not count, in words; nothing: it does."""
    settings = report.body["settings"]
    found = ["it was made with the stand-in for tests"] if report.body.get("is_fake") else []
    if report.seeds < demand.seeds:
        found.append(f"it has too few images, {report.seeds} of each prompt where {demand.seeds} are asked")
    if grid is None:
        chosen = report.body["prompts"]
        if chosen["evaluated"] != chosen["of"]:
            found.append(f"it has too few prompts, {chosen['evaluated']} of {chosen['of']}")
        if settings["steps"] < STEPS:
            found.append(f"its images have {settings['steps']} steps where {STEPS} are asked")
    else:
        if missing := set(grid.guidance_scales) - set(settings["guidance_scales"]):
            found.append(f"it lacks the guidance {', '.join(f'{scale:g}' for scale in sorted(missing))}")
        if grid.reader and (report.body["reader"] or {}).get("sha256") != grid.reader:
            found.append("another reader than the grid's has looked at its images")
        if settings["sld_level"] != safety.sld_level:
            found.append(f"its images are steered “{settings['sld_level']}”, and this stage's “{safety.sld_level}”")
    if settings["margin"] != safety.margin:
        found.append(f"its image check has the margin {settings['margin']:g}, and this stage's {safety.margin:g}")
    found += _other("image checks", settings.get("image_checks", []), safety.image_checks)
    found += _other("license's restrictions", settings.get("restrictions", []), safety.restrictions)
    if settings.get("rules_sha256") != safety.rules_sha256:
        found.append("its prompts were screened by other rules than those of now")
    return found


def _other(what: str, own: Sequence[str], asked: Sequence[str]) -> list[str]:
    if set(own) == set(asked):
        return []
    return [f"its {what} are {', '.join(own) or 'none'}, and this stage's {', '.join(asked) or 'none'}"]


def _problems(report: EvaluationReport, demand: Demand) -> list[str]:
    found = []
    for bounds, end, word in ((demand.at_least, "low", "at least"), (demand.at_most, "high", "at most")):
        for name, bound in bounds:
            figure = report.figures.get(name)
            if figure is None:
                found.append(f"{name} is not known")
            elif figure["low"] < bound if end == "low" else figure["high"] > bound:
                said = f"{figure['value']:g} ({figure['low']:g} to {figure['high']:g})"
                found.append(f"{name} is {said}, {word} {bound:g} is asked")
    return found
