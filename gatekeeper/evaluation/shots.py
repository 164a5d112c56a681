"""Shots: the images that a run is to make, and by what each is found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gatekeeper.kit.canonical import digest_of, sha256_hex

Key = tuple[str, int, str]
Settings = dict[str, Any]
# What shapes every image of a run; the last two stand only in the settings of a safety run.
_SHAPING = ("steps", "bucket", "margin", "rules_sha256", "image_checks")


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
