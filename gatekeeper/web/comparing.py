"""Two reports beside each other, in words."""

from typing import Any

from gatekeeper.evaluation import EvaluationReport, comparing

_CONDITIONS = {
    "guidance_scales": "Guidance",
    "sld_level": "Safe Latent Diffusion",
    "steps": "Steps",
    "margin": "Margin of the image check",
    "reader": "Reader",
    "rules_sha256": "Prompt rules",
    "image_checks": "Image checks of the stage",
    "checks": "Image checks as they were",
    "restrictions": "Restrictions of the license",
    "stage": "Safety of the stage",
    "is_fake": "Stand-in for tests",
}


def beside(report: EvaluationReport, other: EvaluationReport | None) -> dict[str, Any]:
    """What a page shows of a report and the one beside it: whether they are on one grid, and what differs there."""
    is_same = other is not None and other.grid_sha256 == report.grid_sha256
    if other is None or not is_same:
        return {"same_grid": False, "changes": [], "conditions": []}
    differing = comparing.conditions(report, other)
    return {
        "same_grid": True,
        "changes": comparing.changes(report, other),
        "conditions": [(_CONDITIONS[name], _said(there), _said(here)) for name, there, here in differing],
    }


def _said(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case None | "" | []:
            return "none"
        case list():
            return ", ".join(_said(each) for each in value)
        case dict():
            return ", ".join(f"{name} ({_said(each)})" for name, each in value.items())
        case float():
            return f"{value:g}"
        case _:
            return str(value)[:16]
