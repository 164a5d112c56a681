"""Shots: the images that a run is to make, and by what each is found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gatekeeper.kit.canonical import digest_of, sha256_hex

Key = tuple[str, int, str]
Settings = dict[str, Any]
# What shapes every image of a run, and what may refuse or withhold it: `checks` by their digests.
_SHAPING = ("steps", "bucket", "margin", "rules_sha256", "restrictions", "checks")


@dataclass(frozen=True, slots=True)
class StageSafety:
    """The safety that a stage applies to images, with which a report must be made to say something of it.

    image_checks  names of the checks that must clear an image, beside the model's own
    restrictions  of the license in force, by which some rules hold
    rules_sha256  of the rules that screen prompts
    """

    sld_level: str
    margin: float
    image_checks: tuple[str, ...]
    restrictions: tuple[str, ...]
    rules_sha256: str

    def as_settings(self) -> Settings:
        """As a run's settings hold it, but for the level of steering."""
        return {
            "margin": self.margin,
            "image_checks": list(self.image_checks),
            "restrictions": list(self.restrictions),
            "rules_sha256": self.rules_sha256,
        }


class Asked(Protocol):
    """A prompt of a grid or of a set."""

    @property
    def text(self) -> str:
        """As the model gets it."""

    @property
    def negative(self) -> str:
        """The negative prompt, "" for none."""


P = TypeVar("P", bound=Asked)


@dataclass(frozen=True, slots=True)
class Shot(Generic[P]):
    """One image of a run."""

    prompt: P
    guidance_scale: float
    seed: int
    sld_level: str

    def key(self, settings: Mapping[str, Any]) -> Key:
        """Under what its image is found: (prompt, seed, settings), digests but for the seed."""
        shaping = {name: settings[name] for name in _SHAPING if name in settings}
        shaping |= {"guidance_scale": self.guidance_scale, "sld_level": self.sld_level}
        text, negative = self.prompt.text, self.prompt.negative
        asked = f"{text}\0{negative}" if negative else text
        return sha256_hex(asked.encode()), self.seed, digest_of(shaping)
