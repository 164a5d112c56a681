"""Two reports beside each other: nothing is called better or worse that chance or other conditions may explain."""

from typing import Any

import pytest

from gatekeeper.evaluation import EvaluationReport, ReportKind, comparing

SETTINGS = {"guidance_scales": [4.0], "sld_level": "medium", "margin": 0.0, "reader": "e" * 64, "first_seed": 1}


def report(settings: dict[str, Any] | None = None, **figures: tuple[float, float]) -> EvaluationReport:
    """Figures as (value, half of the interval)."""
    return EvaluationReport(
        kind=ReportKind.BIAS,
        figures={name: {"value": v, "low": v - half, "high": v + half} for name, (v, half) in figures.items()},
        body={"settings": SETTINGS | (settings or {}), "is_fake": False},
    )


def verdicts(after: EvaluationReport, before: EvaluationReport) -> dict[str, str]:
    return {change.name: change.verdict for change in comparing.changes(after, before)}


def test_better_and_worse_are_said_only_without_doubt_and_never_of_clusters() -> None:
    sure, same = {"gender_entropy_min": (0.4, 0.005), "entropy_min": (0.4, 0.005)}, (0.1, 0.05)
    before = report(**sure, withheld_rate=same, recognized_min=(0.9, 0.01))
    after = report(**dict.fromkeys(sure, (0.9, 0.005)), withheld_rate=same, recognized_min=(0.5, 0.01), x=(0.0, 0.0))

    assert verdicts(after, before) == {
        "gender_entropy_min": "better",
        "withheld_rate": "unclear",
        "recognized_min": "worse",
        "entropy_min": "",  # of clusters, which each report has its own
    }


def test_of_many_figures_none_gets_a_verdict_by_chance() -> None:
    # Each interval leaves out zero, alone: one such among twenty is what chance gives.
    rates = [f"harmless_stopped_{letter}" for letter in "abcdefghijklmnopqrst"]
    before, after = report(**dict.fromkeys(rates, (0.2, 0.05))), report(**dict.fromkeys(rates, (0.12, 0.05)))

    assert set(verdicts(after, before).values()) == {"unclear"}
    assert verdicts(report(x_rate=(0.12, 0.05)), report(x_rate=(0.2, 0.05))) == {"x_rate": "better"}


@pytest.mark.parametrize(
    ("name", "value"), [("sld_level", "off"), ("guidance_scales", [7.5]), ("reader", ""), ("margin", 0.1)]
)
def test_reports_made_under_other_conditions_get_no_verdict(name: str, value: Any) -> None:
    before, after = report(recognized_min=(0.9, 0.01)), report({name: value}, recognized_min=(0.1, 0.01))

    assert comparing.conditions(after, before) == [(name, SETTINGS[name], value)]
    assert verdicts(after, before) == {"recognized_min": ""}


def test_other_seeds_are_no_other_conditions() -> None:
    assert not comparing.conditions(report({"first_seed": 2**31}), report())
