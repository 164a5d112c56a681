"""Grids: which prompts an evaluation makes, as data with a version and a digest (`evaluations/bias-*.toml`)."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from gatekeeper import errors
from gatekeeper.evaluation.shots import Settings, Shot, StageSafety
from gatekeeper.evaluation.tables import ReportKind
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.canonical import digest_of

FOLDER = "evaluations"
MOST_SEEDS = 200
MOST_GUIDANCE = 30

_FIELDS = {
    "id", "version", "title", "seeds", "first_seed", "clusters", "reader", "centers", "settings", "identity", "subject",
}  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}|")
_ARTICLE = re.compile(r"\b(a)(?= [aeiouAEIOU])")


class BrokenGrid(ValueError):
    """A grid cannot be used; the text names the file and what is wrong."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a grid and what it asks for. `markers` are those of an identity, empty for a subject."""

    text: str
    profession: str = ""
    adjective: str = ""
    markers: tuple[tuple[str, str], ...] = ()

    @property
    def negative(self) -> str:
        """Prompts of grids have no negative prompt."""
        return ""

    @property
    def is_identity(self) -> bool:
        """Whether the prompt names an identity, so that its images make up the clusters."""
        return bool(self.markers)


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid as its file has it.

    sha256    of everything in it; reports are bound to it
    seeds     images of each subject prompt; a run may make more, or fewer
    centers   "profession": embeddings are taken relative to the mean of their profession's identity images
    settings  steps, bucket and guidance scales; identity images are made at the first scale
    """

    kind: ClassVar[ReportKind] = ReportKind.BIAS

    id: str
    version: int
    title: str
    sha256: str
    seeds: int
    first_seed: int
    clusters: int
    reader: str
    centers: str
    settings: Mapping[str, Any]
    identity_seeds: int
    identities: tuple[Prompt, ...]
    subjects: tuple[Prompt, ...]
    professions: tuple[str, ...]
    adjectives: tuple[str, ...]
    markers: Mapping[str, tuple[str, ...]]

    @property
    def guidance_scales(self) -> tuple[float, ...]:
        """Those that the grid asks for."""
        return tuple(self.settings["guidance_scales"])

    def plan(
        self,
        safety: StageSafety,
        *,
        stage: str = "",
        seeds: int | None = None,
        guidance_scales: tuple[float, ...] | None = None,
        reader: str | None = None,
    ) -> Settings:
        """Settings of a run; None: as the grid has it. Raises Invalid.

        safety  that will be applied, as the stage and the person's rights have it
        stage   whose it is, "" for the revision's own
        """
        scales = guidance_scales or self.guidance_scales
        if len(set(scales)) != len(scales) or not all(0 <= scale <= MOST_GUIDANCE for scale in scales):
            raise errors.Invalid(f"Guidance scales are different numbers from 0 to {MOST_GUIDANCE}.", status=422)
        return {
            "steps": self.settings["steps"],
            "bucket": self.settings["bucket"],
            "guidance_scales": list(scales),
            "sld_level": safety.sld_level,
            **safety.as_settings(),
            "stage": stage,
            "seeds": self.seeds if seeds is None else seeds,
            "first_seed": self.first_seed,
            "reader": self.reader if reader is None else reader,
        }

    def shots(self, settings: Mapping[str, Any]) -> Iterator[Shot[Prompt]]:
        """Every image of a run with these settings: identities at the first guidance scale, then subjects."""
        first, scales, sld_level = settings["first_seed"], settings["guidance_scales"], settings["sld_level"]
        for prompt in self.identities:
            yield from (Shot(prompt, scales[0], first + n, sld_level) for n in range(self.identity_seeds))
        for scale in scales:
            for prompt in self.subjects:
                yield from (Shot(prompt, scale, first + n, sld_level) for n in range(settings["seeds"]))


def load_grids(policies_dir: Path | None = None) -> Mapping[str, Grid]:
    """The grids of a folder of policies by id, None for the bundled one. Each folder is read once in a process.

    Raises BrokenGrid naming the file and what is wrong.
    """
    return _load((policies_dir or bundled_dir("policies")) / FOLDER)


def require_grid(grids: Mapping[str, Grid], id: str) -> Grid:
    """The grid of that name. Raises NotFound."""
    if id not in grids:
        raise errors.NotFound(f"There is no grid {id[:40]}.", next_step=f"Choose one of {', '.join(sorted(grids))}.")
    return grids[id]


@lru_cache(maxsize=16)
def _load(folder: Path) -> Mapping[str, Grid]:
    found: dict[str, Grid] = {}
    for path in sorted(folder.glob("bias-*.toml")):
        try:
            grid = parse(tomllib.loads(path.read_text("utf-8")))
            if grid.id in found:
                raise ValueError(f"another file has the grid {grid.id} too")
        except (OSError, ValueError, KeyError, TypeError, IndexError) as problem:
            raise BrokenGrid(f"{FOLDER}/{path.name}: {problem}") from problem
        found[grid.id] = grid
    return MappingProxyType(found)


def parse(data: Mapping[str, Any]) -> Grid:
    """The grid in a TOML file's data. Raises ValueError, KeyError or TypeError."""
    if odd := set(data) ^ _FIELDS:
        raise ValueError(f"{', '.join(sorted(odd))} is unknown or missing")
    if not _NAME.fullmatch(data["id"]) or not _SHA256.fullmatch(data["reader"]):
        raise ValueError("id must be a short name, and reader empty or a SHA-256")
    if data["centers"] not in ("", "profession"):
        raise ValueError("centers must be empty or “profession”")
    settings, identity, subject = data["settings"], data["identity"], data["subject"]
    for name, value, low, high in (
        ("version", data["version"], 1, 10_000),
        ("seeds", data["seeds"], 1, MOST_SEEDS),
        ("first_seed", data["first_seed"], 0, 2**31),
        ("clusters", data["clusters"], 2, 200),
        ("identity.seeds", identity["seeds"], 1, MOST_SEEDS),
        ("settings.steps", settings["steps"], 1, 100),
        ("settings.bucket", settings["bucket"], 1, 1024),
    ):
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number from {low} to {high}")
    scales = settings["guidance_scales"]
    if not scales or not all(type(scale) is float and 0 <= scale <= 30 for scale in scales):
        raise ValueError("settings.guidance_scales must be numbers from 0.0 to 30.0")
    markers = {name: tuple(map(str, values)) for name, values in identity["markers"].items()}
    professions, adjectives = tuple(map(str, subject["professions"])), tuple(map(str, subject["adjectives"]))
    identities = _identities(identity["template"], markers, professions)
    if len(identities) * identity["seeds"] < data["clusters"]:
        raise ValueError("there are fewer identity images than clusters")
    subjects = tuple(
        Prompt(_filled(subject["template"], {"adjective": adjective, "profession": profession}), profession, adjective)
        for profession, adjective in product(professions, adjectives)
    )
    return Grid(
        id=data["id"],
        version=data["version"],
        title=str(data["title"]),
        sha256=digest_of(data),
        seeds=data["seeds"],
        first_seed=data["first_seed"],
        clusters=data["clusters"],
        reader=data["reader"],
        centers=data["centers"],
        settings=MappingProxyType(dict(settings)),
        identity_seeds=identity["seeds"],
        identities=identities,
        subjects=subjects,
        professions=professions,
        adjectives=adjectives,
        markers=MappingProxyType(markers),
    )


def _identities(
    template: str, markers: Mapping[str, tuple[str, ...]], professions: tuple[str, ...]
) -> tuple[Prompt, ...]:
    of = professions if "{profession}" in template else ("",)
    return tuple(
        Prompt(_filled(template, dict(chosen) | {"profession": profession}), profession, markers=chosen)
        for profession in of
        for chosen in (tuple(zip(markers, values, strict=True)) for values in product(*markers.values()))
    )


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its places filled; what was left empty leaves no gap, and “a” becomes “an” where it must."""
    return _ARTICLE.sub("an", " ".join(template.format(**values).split()))
