"""Evaluation: what a model does with people and with harm, measured before it is let out.

A run makes the images of a grid, or of a set of prompts (`runs`), and keeps each when it is made. Of a grid's images a
reader tells what they show and `analysis` counts that; of a set's prompts `safety` counts what was refused and flagged.
`reports` signs what was found, bound to a manifest digest; `comparing` holds two of them together. Stages may demand
such reports (`demands`).
"""

from gatekeeper.evaluation import comparing, demands, reports, runs, safety
from gatekeeper.evaluation.analysis import Reader
from gatekeeper.evaluation.clearing import clear
from gatekeeper.evaluation.demands import Demand
from gatekeeper.evaluation.grids import Grid, load_grids, require_grid
from gatekeeper.evaluation.measures import Estimate
from gatekeeper.evaluation.promptsets import PromptSet, load_prompt_sets, read_prompts, require_prompt_set
from gatekeeper.evaluation.runs import JOB, AnyGrid, Outcome
from gatekeeper.evaluation.shots import Shot, StageSafety
from gatekeeper.evaluation.tables import EvaluationReport, EvaluationRun, ImageState, ReportKind, RunState

__all__ = [
    "JOB",
    "AnyGrid",
    "Demand",
    "Estimate",
    "EvaluationReport",
    "EvaluationRun",
    "Grid",
    "ImageState",
    "Outcome",
    "PromptSet",
    "Reader",
    "ReportKind",
    "RunState",
    "Shot",
    "StageSafety",
    "clear",
    "comparing",
    "demands",
    "load_grids",
    "load_prompt_sets",
    "read_prompts",
    "reports",
    "require_grid",
    "require_prompt_set",
    "runs",
    "safety",
]
