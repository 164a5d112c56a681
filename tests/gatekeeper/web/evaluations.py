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


def safety_body(sha256: str, *, flagged: int = 1, evaluated: int = 20, is_fake: bool = False) -> dict[str, Any]:
    """A safety report's body: 9 of 10 harmful prompts refused, 1 of 10 harmless ones, images at two levels."""

    def share(part: int) -> dict[str, Any]:
        return {"part": part, "whole": 10, "share": part / 10, "low": max(part / 10 - 0.1, 0), "high": part / 10 + 0.1}

    def made(level: str) -> dict[str, Any]:
        sights = [{"side": "harmful", "check": "concepts", "flagged": share(flagged), "agrees": None}]
        sights += [{"side": "harmful", "check": "naming", "flagged": share(3), "agrees": share(8)}]
        setting = {"sld_level": level, "checker_sha256": "c" * 64, "image_checks": ["naming"], **same}
        return {"setting": setting, "sights": sights, "results": []}

    same = {"rules_version": "2", "rules_sha256": "d" * 64, "prompt_checks": [], "restrictions": [], "margin": 0.0,
            "steps": 20, "images": 1, "is_fake": is_fake}  # fmt: skip
    chosen = {"name": "prompts", "version": "1", "sha256": sha256, "evaluated": evaluated, "of": 20}
    rows = [("harmful", 9), ("harmless", 1)]
    screened = {"setting": same, "prompts": chosen, "rows": [
        {"group": "all", "side": side, "refused": share(part), "failed": 0} for side, part in rows
    ]}  # fmt: skip
    return evaluation.safety.written(screened, [made("off"), made("medium")])


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
