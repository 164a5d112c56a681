"""How much safety a stage demands and how much it offers: `policies/safety.toml`, read once and checked hard."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases.tables import Stage
from inference.contract import Limits, SldLevel

FILE_NAME = "safety.toml"
UNSTAGED = "unstaged"
_LIMITS = Limits()


class BrokenSafety(ValueError):
    """The safety file cannot be used; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Change:
    """Other numbers for somebody's budget; None leaves the policy's."""

    images_per_day: int | None = None
    compute_seconds_per_day: int | None = None
    concurrency: int | None = None


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
    return {name: value for name, value in asdict(change).items() if value is not None}


@dataclass(frozen=True, slots=True)
class SafetyLevel:
    """What holds for hosted inference at one stage. Sides in pixels.

    sld_level        Safe Latent Diffusion that is applied at least
    margin           added to every checker score
    lowest_sld       what an order may go down to: the same, unless safety may be adjusted
    images_per_day, compute_seconds_per_day  of one person at one repository, in any 24 hours
    concurrency      orders of one person at one repository that run at once
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
    lowest_sld: SldLevel

    @property
    def budget(self) -> Budget:
        """What one person may make of one repository."""
        return Budget(self.images_per_day, self.compute_seconds_per_day, self.concurrency)


@dataclass(frozen=True, slots=True)
class Safety:
    """The levels by stage name; repositories without stages have their own.

    person, organization  what one person, or the people of one organization, may make on the whole hub
    """

    levels: Mapping[str, SafetyLevel]
    person: Budget
    organization: Budget
    adjusted_sld: SldLevel
    adjusted_images_per_day: int

    def at(self, stage: Stage | None, *, is_adjusted: bool = False) -> SafetyLevel:
        """The level of a stage, None for a repository without stages.

        is_adjusted  the person may choose a weaker safety level (`generate_adjusted` was allowed)
        """
        level = self.levels[stage.value if stage else UNSTAGED]
        if not is_adjusted:
            return level
        lowest = min(self.adjusted_sld, level.sld_level, key=list(SldLevel).index)
        images_per_day = min(self.adjusted_images_per_day, level.images_per_day)
        return replace(level, lowest_sld=lowest, images_per_day=images_per_day)

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
    known = {field.name for field in fields(SafetyLevel)} - {"lowest_sld"}
    if odd := set(data) ^ known:
        raise ValueError(f"stage {name}: {', '.join(sorted(odd))} is unknown or missing")
    bounds: dict[str, float] = {
        "steps": _LIMITS.steps,
        "images": _LIMITS.images,
        "width": _LIMITS.max_side,
        "height": _LIMITS.max_side,
        "guidance_scale": _LIMITS.guidance_scale,
        "margin": 1,
    }
    for key in known - {"sld_level"}:
        value = data[key]
        is_number = type(value) is int or (key in {"margin", "guidance_scale"} and type(value) is float)
        if not is_number or not 0 <= value <= bounds.get(key, 10**6):
            raise ValueError(f"stage {name}: {key} is {value!r}; the worker accepts 0 to {bounds.get(key, 10**6):g}")
    sld_level = SldLevel(data.pop("sld_level"))
    return SafetyLevel(**data, sld_level=sld_level, lowest_sld=sld_level)
