"""The ladder as data: `policies/stages.toml`, read once and checked hard."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from gatekeeper import evaluation, licensing
from gatekeeper.evaluation import Grid, ReportKind
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.licensing import Catalogue, Known
from gatekeeper.releases.tables import Stage

FILE_NAME = "stages.toml"
SAFETY_FILE = "safety.toml"  # belongs to the room of images, which checks it; its quotas are read here, too
CRITERIA = frozenset(
    {
        "license_text",
        "flow_down",
        "card_complete",
        "safetensors_only",
        "scan_clean",
        "not_held",
        "below_target",
        "soak_time",
        "testers",
        "bias_report",
        "safety_report",
        "no_open_incident",
        "questions_answered",
        "rollback_drill",
        "quota_limits",
    }
)

Requests = Literal["none", "manual", "auto"]


class BrokenLadder(ValueError):
    """The stages' file cannot be used; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class StageRule:
    """What a stage asks before a release may reach it, and how access is asked for there.

    approvals        maintainers who must say yes, without who uploaded or proposed
    sole_maintainer  whether a repository's only maintainer may say yes to their own
    criteria         ids of the checks that must pass
    grant_days       days until a grant made at this stage ends; 0: no end
    soak_days        days that a release stands one stage below before it may come here
    testers          different people who used it one stage below before it may come here
    request_approvals  reviewers who must say yes to a request for access
    prerequisites    kinds of prerequisites (requests.toml) without which a grant does not count here
    terms_grace_days  days in which acceptances of earlier terms count after a change of them
    typed_name       whether who accepts the terms types their full name
    bias, safety     reports that there must be on exactly the released files
    """

    stage: Stage
    title: str
    summary: str
    approvals: int
    sole_maintainer: bool
    criteria: tuple[str, ...]
    requests: Requests
    grant_days: int
    soak_days: int = 0
    testers: int = 0
    request_approvals: int = 1
    prerequisites: tuple[str, ...] = ()
    terms_grace_days: int = licensing.GRACE_DAYS
    typed_name: bool = False
    bias: tuple[evaluation.Demand, ...] = ()
    safety: tuple[evaluation.Demand, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The stages in order, lowest first, with their rules.

    prompt_sets  digests of demanded sets by file name
    quotas       what one person may make at a stage (safety.toml), by name; none where the file is not there
    safety_at    what a stage applies to images under licenses of these kinds; whoever hosts models knows it
    """

    stages: tuple[Stage, ...]
    rules: Mapping[Stage, StageRule]
    licenses: Catalogue = field(default_factory=Catalogue)
    grids: Mapping[str, Grid] = field(default_factory=dict)
    prompt_sets: Mapping[str, str] = field(default_factory=dict)
    quotas: Mapping[Stage, Mapping[str, Any]] = field(default_factory=dict)
    safety_at: Callable[[Stage, Sequence[Known | None]], evaluation.StageSafety] | None = None

    def rule(self, stage: Stage) -> StageRule:
        """The rule of a stage."""
        return self.rules[stage]

    def rank(self, stage: Stage) -> int:
        """Place on the ladder, 0 is the lowest."""
        return self.stages.index(stage)

    @classmethod
    def load(cls, policies_dir: Path | None = None) -> "Ladder":
        """The ladder of a folder of policies, None for the bundled one. Each folder is read once in a process.

        Raises BrokenLadder naming the file and what is wrong.
        """
        return _load((policies_dir or bundled_dir("policies")) / FILE_NAME)


@lru_cache(maxsize=16)
def _load(path: Path) -> Ladder:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        ladder = replace(parse(data), licenses=Catalogue.load(path.parent), grids=evaluation.load_grids(path.parent))
        sets = [demand for rule in ladder.rules.values() for demand in rule.safety]
        ladder = replace(ladder, prompt_sets={d.of: evaluation.demands.set_digest(path.parent, d) for d in sets})
        ladder = replace(ladder, quotas=_quotas(path.with_name(SAFETY_FILE)))
        demanded = {demand.of for rule in ladder.rules.values() for demand in rule.bias}
        if unknown := demanded - set(ladder.grids):
            raise ValueError(f"there is no grid {', '.join(sorted(unknown))} in evaluations/")
        return ladder
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BrokenLadder(f"{path}: {problem}") from problem


def parse(data: Mapping[str, Any]) -> Ladder:
    """The ladder in a TOML file's data. Raises ValueError, KeyError or TypeError."""
    stages = tuple(Stage(name) for name in data["ladder"])
    if set(stages) != set(Stage) or len(stages) != len(Stage):
        raise ValueError(f"ladder must name each of {', '.join(Stage)} once")
    unknown = set(data["stage"]) - set(Stage)
    if unknown:
        raise ValueError(f"unknown stage {', '.join(sorted(unknown))}")
    rules = {stage: _rule(stage, data["stage"][stage.value]) for stage in stages}
    return Ladder(stages, MappingProxyType(rules))


def _quotas(path: Path) -> dict[Stage, Mapping[str, Any]]:
    data = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {stage: data.get("default", {}) | data.get("stage", {}).get(stage.value, {}) for stage in Stage}


def _rule(stage: Stage, data: Mapping[str, Any]) -> StageRule:
    data = {"terms_grace_days": licensing.GRACE_DAYS, "typed_name": False} | dict(data)
    criteria = tuple(data["criteria"])
    if unknown := set(criteria) - CRITERIA:
        raise ValueError(f"stage {stage}: unknown criterion {', '.join(sorted(unknown))}")
    if data["requests"] not in ("none", "manual", "auto"):
        raise ValueError(f"stage {stage}: requests must be none, manual or auto")
    for name in ("approvals", "grant_days", "terms_grace_days"):
        if type(data[name]) is not int or data[name] < 0:
            raise ValueError(f"stage {stage}: {name} must be a whole number from 0")
    for name in ("soak_days", "testers"):
        if type(data.get(name, 0)) is not int or data.get(name, 0) < 0:
            raise ValueError(f"stage {stage}: {name} must be a whole number from 0")
    for name in ("sole_maintainer", "typed_name"):
        if type(data[name]) is not bool:
            raise ValueError(f"stage {stage}: {name} must be true or false")
    request_approvals, prerequisites = data.get("request_approvals", 1), data.get("prerequisites", [])
    if type(request_approvals) is not int or not 1 <= request_approvals <= 20:
        raise ValueError(f"stage {stage}: request_approvals must be a whole number from 1 to 20")
    if not isinstance(prerequisites, list) or not all(isinstance(kind, str) and kind for kind in prerequisites):
        raise ValueError(f"stage {stage}: prerequisites must be names of kinds")
    return StageRule(
        stage=stage,
        title=str(data["title"]),
        summary=str(data["summary"]),
        approvals=data["approvals"],
        sole_maintainer=data["sole_maintainer"],
        criteria=criteria,
        requests=data["requests"],
        grant_days=data["grant_days"],
        soak_days=data.get("soak_days", 0),
        testers=data.get("testers", 0),
        request_approvals=request_approvals,
        prerequisites=tuple(prerequisites),
        terms_grace_days=data["terms_grace_days"],
        typed_name=data["typed_name"],
        bias=tuple(evaluation.demands.parse(demand) for demand in data.get("bias", [])),
        safety=tuple(evaluation.demands.parse(demand, ReportKind.SAFETY) for demand in data.get("safety", [])),
    )
