"""What differs between two reports: under which conditions they were made, and what got better or worse."""

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from gatekeeper.evaluation import measures
from gatekeeper.evaluation.measures import Estimate
from gatekeeper.evaluation.tables import EvaluationReport

# Numbers for which more is better; for the others less is.
_MORE_IS_BETTER = re.compile(r".*(entropy_min|recognized_min|harmful_refused_rate)|harmful_stopped_[a-z]+")
# Each report divides the images of its own identities into clusters: they are other groups in each.
_OF_CLUSTERS = ("entropy_min", "largest_share_max")
# What shapes the numbers. The levels of a safety report do not: each of its numbers is of one level.
_CONDITIONS = (
    "guidance_scales", "sld_level", "steps", "margin", "reader",
    "rules_sha256", "image_checks", "checks", "restrictions", "stage",
)  # fmt: skip
_DOUBT = 0.05
_NORMAL = 1.96  # standard errors in half an interval


@dataclass(frozen=True, slots=True)
class Change:
    """A figure in two reports. `verdict` is "better", "worse", "unclear", or "" where the two cannot be compared."""

    name: str
    before: Estimate
    after: Estimate
    difference: Estimate
    verdict: str = ""

    @property
    def chance(self) -> float:
        """How likely so great a difference is where there is none, by its interval."""
        far = abs(self.difference.value)
        near = self.difference.low if self.difference.value > 0 else self.difference.high
        half = abs(self.difference.value - near)
        return math.erfc(_NORMAL * far / half / math.sqrt(2)) if half else float(not far)


def conditions(after: EvaluationReport, before: EvaluationReport) -> list[tuple[str, Any, Any]]:
    """In which settings two reports on one grid differ that shape their numbers: (name, there, here).

    Seeds are left out: other ones are what a counter-run is for.
    """
    here, there = ({**each.body["settings"], "is_fake": each.body.get("is_fake")} for each in (after, before))
    names = (*_CONDITIONS, "is_fake")
    return [(name, there.get(name), here.get(name)) for name in names if there.get(name) != here.get(name)]


def changes(after: EvaluationReport, before: EvaluationReport) -> list[Change]:
    """Each figure that two reports on one grid share, with a verdict where they were made under the same conditions.

    The verdict is "better" or "worse" only where chance leaves no doubt, all figures taken together (Holm 1979).
    """
    found = [
        Change(name, old, new, measures.difference(new, old))
        for name, old, new in (
            (name, Estimate.of(before.figures[name]), Estimate.of(figure))
            for name, figure in after.figures.items()
            if name in before.figures
        )
    ]
    if conditions(after, before):
        return found
    judged = sorted((each for each in found if each.name not in _OF_CLUSTERS), key=lambda each: each.chance)
    verdicts, is_clear = {}, True
    for place, each in enumerate(judged):
        is_clear = is_clear and each.chance <= _DOUBT / (len(judged) - place)
        verdicts[each.name] = _verdict(each) if is_clear else "unclear"
    return [replace(each, verdict=verdicts.get(each.name, "")) for each in found]


def _verdict(change: Change) -> str:
    is_good = (change.difference.value > 0) == bool(_MORE_IS_BETTER.fullmatch(change.name))
    return "better" if is_good else "worse"
