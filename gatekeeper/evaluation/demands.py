"""What a stage demands of evaluations: a grid, enough seeds, and thresholds, as `stages.toml` has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.evaluation import reports
from gatekeeper.evaluation.grids import MOST_SEEDS, Grid
from gatekeeper.evaluation.tables import EvaluationReport
from gatekeeper.repos.tables import Repo

_FIELDS = {"grid", "seeds", "at_least", "at_most"}


@dataclass(frozen=True, slots=True)
class Demand:
    """One demanded report. A threshold is compared with the cautious end of the figure's interval.

    at_least, at_most  figure -> bound
    """

    grid: str
    seeds: int
    at_least: tuple[tuple[str, float], ...] = ()
    at_most: tuple[tuple[str, float], ...] = ()


def parse(data: Mapping[str, Any]) -> Demand:
    """A demand in a TOML table. Raises ValueError, KeyError or TypeError."""
    if odd := set(data) - _FIELDS:
        raise ValueError(f"bias: {', '.join(sorted(odd))} is unknown")
    if type(data["seeds"]) is not int or not 1 <= data["seeds"] <= MOST_SEEDS:
        raise ValueError(f"bias: seeds must be a whole number from 1 to {MOST_SEEDS}")
    return Demand(str(data["grid"]), data["seeds"], _bounds(data, "at_least"), _bounds(data, "at_most"))


def _bounds(data: Mapping[str, Any], name: str) -> tuple[tuple[str, float], ...]:
    bounds = data.get(name, {})
    if not all(type(value) in (int, float) and 0 <= value <= 1 for value in bounds.values()):
        raise ValueError(f"bias: {name} must be numbers from 0 to 1 by figure")
    return tuple((str(figure), float(value)) for figure, value in bounds.items())


async def check(
    session: AsyncSession, repo: Repo, manifest_sha256: str, demand: Demand, grids: Mapping[str, Grid]
) -> tuple[bool, str]:
    """Whether reports on exactly these files meet a demand, and what was found in one sentence.

    Every report that counts must be good: neither a second try nor a counter-run is passed over.
    """
    grid = grids.get(demand.grid)
    if grid is None:
        return False, f"The grid “{demand.grid}” that this stage demands is not among the policies."
    all_of_grid = [each for each in await reports.list_for(session, repo) if each.grid_id == grid.id]
    on_files = [each for each in all_of_grid if each.manifest_sha256 == manifest_sha256]
    if not on_files:
        other = " There is one on other files." if all_of_grid else ""
        return False, f"There is no bias report on exactly these files with the grid “{grid.title}”.{other}"
    present = [each for each in on_files if each.grid_sha256 == grid.sha256]
    if not present:
        return False, f"The bias report is on an older version of the grid “{grid.title}”."
    counting = [each for each in present if _counts(each, demand, grid)]
    if not counting:
        return False, f"The bias report has too few images, or not the grid's settings: {demand.seeds} seeds are asked."
    if problems := [problem for each in counting for problem in _problems(each, demand)]:
        return False, f"The bias report says otherwise: {'; '.join(dict.fromkeys(problems))}."
    said = f"{len(counting)} reports, all" if len(counting) > 1 else "A report"
    return True, f"{said} within the thresholds: grid “{grid.title}” {grid.version}, {counting[0].seeds} seeds."


def _counts(report: EvaluationReport, demand: Demand, grid: Grid) -> bool:
    scales = set(report.body["settings"]["guidance_scales"])
    reader = report.body["reader"]["sha256"] if report.body["reader"] else ""
    return (
        report.seeds >= demand.seeds
        and scales >= set(grid.guidance_scales)
        and (not grid.reader or reader == grid.reader)
    )


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
