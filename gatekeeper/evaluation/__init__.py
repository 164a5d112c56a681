"""Evaluation: what a model does with people, measured before it is let out.

A run makes the images of a grid (`runs`), a reader looks at them, `analysis` counts, and `reports` signs what was
found, bound to a manifest digest. `safety` does so with what became of harmful and harmless prompts. Stages may demand
such reports (`demands`).
"""

from gatekeeper.evaluation import demands, reports, runs, safety
from gatekeeper.evaluation.analysis import Reader
from gatekeeper.evaluation.clearing import clear
from gatekeeper.evaluation.demands import Demand
from gatekeeper.evaluation.grids import BrokenGrid, Grid, load_grids, require_grid
from gatekeeper.evaluation.measures import Estimate
from gatekeeper.evaluation.runs import JOB, Plan, Shot
from gatekeeper.evaluation.tables import EvaluationReport, EvaluationRun, ImageState, ReportKind, RunState

__all__ = [
    "JOB",
    "BrokenGrid",
    "Demand",
    "Estimate",
    "EvaluationReport",
    "EvaluationRun",
    "Grid",
    "ImageState",
    "Plan",
    "Reader",
    "ReportKind",
    "RunState",
    "Shot",
    "clear",
    "demands",
    "load_grids",
    "reports",
    "require_grid",
    "runs",
    "safety",
]
