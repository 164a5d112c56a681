"""Measuring safety: which prompts the rules refuse, orders that look behind the rules that may be waived, and the
safety that reports are held against."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gatekeeper.evaluation import StageSafety
from gatekeeper.generation.demands import under_license
from gatekeeper.generation.safety import Safety, SafetyLevel
from gatekeeper.releases import Ladder
from inference.contract import RulesFacts, SldLevel
from inference.safety.prompts import BUILT_IN, RuleSet, Screened, read_rules, screen

SLD_LEVELS = tuple(level.value for level in SldLevel)


def rules_here() -> RulesFacts:
    """The rules that a worker which was started from here screens with. Raises ValueError for a file of no use."""
    return _rules().facts()


def safety_of(level: SafetyLevel) -> StageSafety:
    """What a report says of the safety that it is made with."""
    rules = rules_here().sha256
    return StageSafety(level.sld_level.value, level.margin, level.image_checks, level.restrictions, rules)


def ladder_here(policies_dir: Path | None = None) -> Ladder:
    """The ladder of a folder of policies, which knows with what safety its stages make images here."""
    safety = Safety.load(policies_dir)
    return replace(
        Ladder.load(policies_dir),
        safety_at=lambda stage, known: safety_of(under_license(safety.at(stage), safety, known)),
    )


def behind_rules(level: SafetyLevel, image_checks: Sequence[str]) -> SafetyLevel:
    """A level at which every steering may be chosen and further checks look, and only hard rules hold.

    An order at it yields verdicts and no image.
    """
    waived = tuple(rule.id for rule in _rules().rules if not rule.is_hard)
    return replace(
        level,
        lowest_sld=SldLevel.OFF,
        sld_must_act=False,
        image_checks=tuple(dict.fromkeys((*level.image_checks, *image_checks))),
        waived_rules=waived,
    )


def refused(prompts: Iterable[tuple[int, str, str]], restrictions: Sequence[str]) -> Mapping[int, tuple[str, ...]]:
    """Which of these (number, prompt, negative prompt) the rules refuse, and the ids of these rules.

    restrictions  of the license in force
    """
    rules, found = _rules().rules, dict[int, tuple[str, ...]]()
    for number, text, negative in prompts:
        for outcome in (
            screen(text, rules, restrictions=restrictions),
            screen(negative, rules, restrictions=restrictions, beside=text),
        ):
            if isinstance(outcome, Screened):
                found.setdefault(number, tuple(rule.id for rule in outcome.rules))
    return found


def _rules() -> RuleSet:
    return _read(os.environ.get("INFERENCE_RULES_FILE", ""))


@lru_cache(maxsize=4)
def _read(file: str) -> RuleSet:
    return read_rules(Path(file) if file else BUILT_IN)
