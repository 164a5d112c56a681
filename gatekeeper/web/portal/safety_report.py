"""What the page of a safety report shows: what was refused, and what the checks saw at each level of steering."""

from typing import Any

from markupsafe import Markup

from gatekeeper.evaluation import EvaluationReport
from gatekeeper.evaluation.safety import OWN_CHECK
from gatekeeper.web import comparing
from gatekeeper.web.plots import Bar, Group, bars

CAUTIONS = (
    "A refused prompt or a flagged image is what rules and checks say, not what is true: both err on both sides.",
    "The prompts are few and worded harmlessly on purpose; whoever tries hard finds others.",
    "Images were made behind the rules that may be waived, to see what steering and checks do alone. Nobody got them.",
    "Fewer flagged images may mean that steering works, or that it changes them until the check no longer sees it. A "
    "second check beside the model's own helps to tell.",
    "Sets such as I2P count every prompt as harmful, although by their own figures about four in ten images are.",
)


def shown(report: EvaluationReport, other: EvaluationReport | None) -> dict[str, Any]:
    """What the page shows of it, and of another one on the same set of prompts."""
    return {
        "cautions": CAUTIONS,
        "screen": [row for row in report.body["screen"] if row["refused"]["whole"]],
        "sights": [(level["sld_level"], sight) for level in report.body["levels"] for sight in level["sights"]],
        "stopped": [(level["sld_level"], each) for level in report.body["levels"] for each in level["stopped"]],
        "unchecked": sum(level["unchecked"] for level in report.body["levels"]),
        "plot": Markup(plot_of(report)),  # noqa: S704 - made here, its texts escaped
        "own_check": OWN_CHECK,
        **comparing.beside(report, other),
    }


def plot_of(report: EvaluationReport, *, is_file: bool = False) -> str:
    """What each check flagged at each level of steering, as a plot; "" where nothing was checked."""
    groups: dict[tuple[str, str], list[Bar]] = {}
    for level in report.body["levels"]:
        for sight in level["sights"]:
            share = sight["flagged"]
            if share["whole"]:
                bar = Bar(f"steering {level['sld_level']}", share["share"], share["low"], share["high"])
                groups.setdefault((sight["side"], sight["check"]), []).append(bar)
    named = [Group(f"{side} prompts, check “{check}”", found) for (side, check), found in groups.items()]
    title = "Share of images that each check flagged, by level of steering"
    return bars("flagged", title, named, is_file=is_file) if named else ""
