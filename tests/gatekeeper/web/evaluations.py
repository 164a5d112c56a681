"""A hub whose policies hold the stub's grid, and demand a report on it before a release goes to "gated"."""

import shutil
from pathlib import Path
from typing import Any

from gatekeeper import evaluation
from gatekeeper.evaluation import EvaluationReport, EvaluationRun, RunState, reports
from gatekeeper.jobs import Job
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.web import evaluating
from gatekeeper.web.state import Gatekeeper
from gatekeeper.worker import work_once
from tests.gatekeeper.evaluation.people import grid_text

DEMAND = """
[[stage.gated.bias]]
grid = "stub"
seeds = 8
at_least = {{ entropy_min = {entropy_min} }}
at_most = {{ withheld_rate = 0.2 }}
"""


def policies(folder: Path, *, version: int = 1, entropy_min: float | None = None) -> Path:
    """A folder of policies with the stub's grid; with `entropy_min` the stage "gated" demands a report."""
    shutil.copytree(bundled_dir("policies"), folder)
    (folder / "evaluations" / "bias-stub.toml").write_text(grid_text(version))
    if entropy_min is not None:
        stages = folder / "stages.toml"
        stages.write_text(stages.read_text() + DEMAND.format(entropy_min=entropy_min))
    return folder


async def carry_out(house: Gatekeeper) -> None:
    """Do every part of every evaluation that is due."""
    handlers: dict[str, Any] = {evaluation.JOB: lambda payload: evaluating.carry_on(house, payload)}
    while await work_once(house.db, handlers, lease_seconds=60):
        pass


async def the_report(house: Gatekeeper, run: EvaluationRun) -> EvaluationReport:
    """The report of a run that must be done."""
    async with house.db.read() as session:
        fresh = await session.get_one(EvaluationRun, run.id)
        assert fresh.state is RunState.DONE, fresh.reason
        return await reports.of_run(session, fresh)


__all__ = ["Job", "carry_out", "policies", "the_report"]
