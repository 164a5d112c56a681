"""How much safety a stage demands and how much it offers: `policies/safety.toml`, read once and checked hard."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gatekeeper.generation.tables import StrikeKind
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases.tables import Stage
from inference.contract import Limits, SafetyDemand, SldLevel

FILE_NAME = "safety.toml"
UNSTAGED = "unstaged"
LEAST_WEIGHT, MOST_WEIGHT = 0.1, 10.0
_LIMITS = Limits()


class BrokenSafety(ValueError):
    """The safety file cannot be used; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Change:
    """Other numbers for somebody's budget; None leaves the policy's."""

    images_per_day: int | None = None
    compute_seconds_per_day: int | None = None
    concurrency: int | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be made in any 24 hours, and how many orders at once."""

    images_per_day: int
    compute_seconds_per_day: int
    concurrency: int

    def replaced_by(self, change: Change) -> "Budget":
        """With the numbers that were changed."""
        return replace(self, **_given(change))

    def raised_by(self, change: Change) -> "Budget":
        """With the numbers that were changed where they are higher."""
        return replace(self, **{name: max(value, getattr(self, name)) for name, value in _given(change).items()})


def _given(change: Change) -> dict[str, int]:
    """The numbers of a budget that were changed."""
    changed = ((field.name, getattr(change, field.name)) for field in fields(Budget))
    return {name: value for name, value in changed if value is not None}


@dataclass(frozen=True, slots=True)
class StrikePolicy:
    """When orders that safety stopped make it stricter, and when they make further ones wait for a review.

    days                         for which a strike counts
    hard_rule, prompt_rule, image_flagged  points of an order that was stopped by a hard rule, another rule, a check
    strict_points                from which `sld_level` and `margin` apply
    review_points                of strikes nobody has looked at, from which orders wait; flagged images are none
    """

    days: int
    hard_rule: int
    prompt_rule: int
    image_flagged: int
    strict_points: int
    review_points: int
    sld_level: SldLevel
    margin: float

    def points(self, kind: StrikeKind) -> int:
        """What one strike of a kind counts."""
        return int(getattr(self, kind.value))


@dataclass(frozen=True, slots=True)
class SafetyLevel:
    """What holds for hosted inference at one stage. Sides in pixels.

    sld_level        Safe Latent Diffusion that is applied at least
    margin           added to every checker score
    sld_must_act     refuse what Safe Latent Diffusion cannot steer: guidance off, pipelines outside of the engine
    image_checks     names of the worker's checks that must all clear an image, beside the model's own
    prompt_checks    names of the worker's classifiers without which no prompt is taken
    lowest_sld       what an order may go down to: the same, unless safety may be adjusted
    restrictions     of the license in force, by which licensed rules hold
    waived_rules     that do not hold, to see what lies behind them; nobody gets an image then
    images_per_day, compute_seconds_per_day  of one person at one repository, in any 24 hours
    concurrency      orders of one person at one repository that run at once
    weight           of its orders where there is not enough of the engine for all, from 0.1 to 10
    keep_image_days  days until images and prompts are deleted
    """

    sld_level: SldLevel
    margin: float
    steps: int
    images: int
    width: int
    height: int
    guidance_scale: float
    images_per_day: int
    compute_seconds_per_day: int
    concurrency: int
    keep_image_days: int
    weight: float
    lowest_sld: SldLevel
    sld_must_act: bool = False
    image_checks: tuple[str, ...] = ()
    prompt_checks: tuple[str, ...] = ()
    restrictions: tuple[str, ...] = ()
    waived_rules: tuple[str, ...] = ()

    @property
    def budget(self) -> Budget:
        """What one person may make of one repository."""
        return Budget(self.images_per_day, self.compute_seconds_per_day, self.concurrency)

    @property
    def sld_choices(self) -> tuple[SldLevel, ...]:
        """What an order may ask for: the lowest that is allowed, and everything stronger."""
        return tuple(SldLevel)[list(SldLevel).index(self.lowest_sld) :]

    def raised(self, least: SldLevel) -> "SafetyLevel":
        """With at least this steering. Who may adjust safety may still go as low as before."""
        sld_level = _stronger(self.sld_level, least)
        is_adjusted = self.lowest_sld is not self.sld_level
        return replace(self, sld_level=sld_level, lowest_sld=self.lowest_sld if is_adjusted else sld_level)

    def stricter(self, least: SldLevel, margin: float) -> "SafetyLevel":
        """With at least this steering, which then must act, whoever asks; and a stricter image check."""
        lowest = _stronger(self.lowest_sld, least)
        return replace(
            self,
            sld_level=_stronger(self.sld_level, least),
            lowest_sld=lowest,
            sld_must_act=self.sld_must_act or lowest is not SldLevel.OFF,
            margin=min(self.margin + margin, 1.0),
        )

    def covers(self, other: "SafetyLevel") -> bool:
        """Whether it is nowhere weaker than another one."""
        return (
            _stronger(self.sld_level, other.sld_level) is self.sld_level
            and self.margin >= other.margin
            and self.sld_must_act >= other.sld_must_act
            and {*self.image_checks, *self.prompt_checks} >= {*other.image_checks, *other.prompt_checks}
        )

    def demand(self) -> dict[str, Any]:
        """What an order tells the worker of it, beside steering and margin; JSON."""
        return {
            "sld_must_act": self.sld_must_act,
            "image_checks": list(self.image_checks),
            "prompt_checks": list(self.prompt_checks),
            "restrictions": list(self.restrictions),
            "waived_rules": list(self.waived_rules),
        }


def _stronger(one: SldLevel, other: SldLevel) -> SldLevel:
    return max(one, other, key=list(SldLevel).index)


@dataclass(frozen=True, slots=True)
class Safety:
    """The levels by stage name; repositories without stages have their own.

    person, organization  what one person, or the people of one organization, may make on the whole hub
    """

    levels: Mapping[str, SafetyLevel]
    person: Budget
    organization: Budget
    licenses: Mapping[str, SldLevel]
    strikes: StrikePolicy
    adjusted_sld: SldLevel
    adjusted_images_per_day: int

    def at(self, stage: Stage | None, *, is_adjusted: bool = False) -> SafetyLevel:
        """The level of a stage, None for a repository without stages.

        is_adjusted  the person may choose a weaker safety level (`generate_adjusted` was allowed); where none is the
                     weakest, steering need not act either
        """
        level = self.levels[stage.value if stage else UNSTAGED]
        if not is_adjusted:
            return level
        lowest = min(self.adjusted_sld, level.sld_level, key=list(SldLevel).index)
        images_per_day = min(self.adjusted_images_per_day, level.images_per_day)
        must_act = level.sld_must_act and lowest is not SldLevel.OFF
        return replace(level, lowest_sld=lowest, sld_must_act=must_act, images_per_day=images_per_day)

    @classmethod
    def load(cls, policies_dir: Path | None = None) -> "Safety":
        """The levels of a folder of policies, None for the bundled one. Each folder is read once in a process.

        Raises BrokenSafety naming the file and what is wrong.
        """
        return _load((policies_dir or bundled_dir("policies")) / FILE_NAME)


@lru_cache(maxsize=16)
def _load(path: Path) -> Safety:
    try:
        return parse(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BrokenSafety(f"{path}: {problem}") from problem


def parse(data: Mapping[str, Any]) -> Safety:
    """The levels in a TOML file's data. Raises ValueError, KeyError or TypeError for what cannot be enforced."""
    default = dict(data["default"])
    adjusted = dict(data.get("adjusted", {}))
    stages = data.get("stage", {})
    if unknown := set(stages) - {UNSTAGED, *Stage}:
        raise ValueError(f"unknown stage {', '.join(sorted(unknown))}")
    levels = {name: _level(name, default | dict(stages.get(name, {}))) for name in (UNSTAGED, *map(str, Stage))}
    return Safety(
        MappingProxyType(levels),
        _budget("person", data["person"]),
        _budget("organization", data["organization"]),
        MappingProxyType({str(family): SldLevel(least) for family, least in data.get("license", {}).items()}),
        _strikes(data["strikes"]),
        SldLevel(adjusted.get("sld_level", SldLevel.OFF)),
        int(adjusted.get("images_per_day", levels[UNSTAGED].images_per_day)),
    )


def _budget(name: str, data: Mapping[str, Any]) -> Budget:
    if odd := set(data) ^ {field.name for field in fields(Budget)}:
        raise ValueError(f"[{name}]: {', '.join(sorted(odd))} is unknown or missing")
    if wrong := [key for key, value in data.items() if type(value) is not int or not 0 <= value <= 10**6]:
        raise ValueError(f"[{name}]: {', '.join(sorted(wrong))} must be a whole number up to 1000000")
    return Budget(**data)


def _level(name: str, data: dict[str, Any]) -> SafetyLevel:
    if data.pop("checker") != "required":
        raise ValueError(f"stage {name}: checker can only be “required”; the image check cannot be switched off")
    known = {field.name for field in fields(SafetyLevel)} - {"lowest_sld", "restrictions", "waived_rules"}
    if odd := set(data) ^ known:
        raise ValueError(f"stage {name}: {', '.join(sorted(odd))} is unknown or missing")
    bounds: dict[str, float] = {
        "steps": _LIMITS.steps,
        "images": _LIMITS.images,
        "width": _LIMITS.max_side,
        "height": _LIMITS.max_side,
        "guidance_scale": _LIMITS.guidance_scale,
        "margin": 1,
        "weight": MOST_WEIGHT,
    }
    must_act, checks = data["sld_must_act"], {name: data[name] for name in ("image_checks", "prompt_checks")}
    if type(must_act) is not bool or not all(
        type(names) is list and all(type(each) is str for each in names) for names in checks.values()
    ):
        raise ValueError(
            f"stage {name}: sld_must_act is true or false, image_checks and prompt_checks are lists of names"
        )
    SafetyDemand.model_validate(checks)  # the names are such as the worker knows
    for key in known - {"sld_level", "sld_must_act", *checks}:
        value = data[key]
        is_number = type(value) is int or (key in {"margin", "guidance_scale", "weight"} and type(value) is float)
        least, most = LEAST_WEIGHT if key == "weight" else 0, bounds.get(key, 10**6)
        if not is_number or not least <= value <= most:
            raise ValueError(f"stage {name}: {key} is {value!r}; the worker accepts {least:g} to {most:g}")
    sld_level = SldLevel(data.pop("sld_level"))
    data |= {name: tuple(names) for name, names in checks.items()}
    return SafetyLevel(**data, sld_level=sld_level, lowest_sld=sld_level)


def _strikes(data: Mapping[str, Any]) -> StrikePolicy:
    if odd := set(data) ^ {field.name for field in fields(StrikePolicy)}:
        raise ValueError(f"[strikes]: {', '.join(sorted(odd))} is unknown or missing")
    numbers = {key: value for key, value in data.items() if key not in {"sld_level", "margin"}}
    if wrong := [key for key, value in numbers.items() if type(value) is not int or not 0 <= value <= 10**6]:
        raise ValueError(f"[strikes]: {', '.join(sorted(wrong))} must be a whole number up to 1000000")
    if type(data["margin"]) is not float or not 0 <= data["margin"] <= 1:
        raise ValueError(f"[strikes]: margin is {data['margin']!r}; it must be a number from 0 to 1")
    if min(data["days"], data["strict_points"], data["review_points"]) < 1:
        raise ValueError("[strikes]: days, strict_points and review_points must be at least 1")
    return StrikePolicy(**numbers, sld_level=SldLevel(data["sld_level"]), margin=data["margin"])
