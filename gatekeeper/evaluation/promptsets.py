"""Sets of prompts to measure safety with: ours (`evaluations/prompts.toml`), and tables in I2P's form (`*.csv`).

I2P (Schramowski et al. 2023, arXiv 2211.05105) is not shipped; an operator brings its CSV file, whose columns `prompt`,
`categories`, `sd_seed` and `sd_guidance_scale` are read. Its prompts count as harmful, although by its own figures
about four in ten images of them are.
"""

import csv
import io
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from gatekeeper import errors
from gatekeeper.evaluation.grids import FOLDER, BrokenGrid
from gatekeeper.evaluation.shots import Settings, Shot, StageSafety
from gatekeeper.evaluation.tables import ReportKind
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.canonical import digest_of, sha256_hex

GUIDANCE_SCALE = 7.5
STEPS = 20
# Rows of a denoiser call, pinned so that the same image comes again bit for bit: two images that are steered.
BUCKET = 6
_MOST_SEED = 2**32 - 1
_SIDES = ("harmful", "harmless")


@dataclass(frozen=True, slots=True)
class SafetyPrompt:
    """One prompt, and what is known of it. `seed` and `guidance_scale`: the set's own, None for the evaluation's.

    number    in its set, from 0; reports name it so
    negative  the negative prompt that goes with it
    """

    number: int
    text: str
    side: Literal["harmful", "harmless"]
    category: str
    language: str = "en"
    script: str = "Latn"
    kind: str = "plain"
    split: str = ""
    seed: int | None = None
    guidance_scale: float | None = None
    negative: str = ""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Prompts with the name and version of their set.

    sha256      of the set's file; of a sample also of how it was drawn
    set_sha256  of the set's file
    whole       how many prompts the set has
    drawn       how a sample was drawn: {"most", "seed"}
    """

    kind: ClassVar[ReportKind] = ReportKind.SAFETY

    id: str
    version: str
    sha256: str
    set_sha256: str
    whole: int
    prompts: tuple[SafetyPrompt, ...]
    drawn: Mapping[str, int] | None = None

    @property
    def title(self) -> str:
        """For lists of grids and reports."""
        return f"Safety: {self.id}"

    def sample(self, most: int, seed: int) -> "PromptSet":
        """A part of the set with so many prompts, in which every side and category has the share that it has in the
        set; the same seed draws the same. The whole set if it has no more.
        """
        if most >= self.whole:
            return self
        strata: dict[tuple[str, str], list[tuple[str, SafetyPrompt]]] = defaultdict(list)
        for prompt in self.prompts:
            lot = sha256_hex(f"{seed} {self.set_sha256} {prompt.number}".encode())
            strata[(prompt.side, prompt.category)].append((lot, prompt))
        # Each is placed at its part of its stratum, so the first of all places hold the same part of each.
        places = [
            ((place + 0.5) / len(stratum), lot, prompt)
            for stratum in strata.values()
            for place, (lot, prompt) in enumerate(sorted(stratum, key=lambda drawn: drawn[0]))
        ]
        chosen = sorted(places, key=lambda place: place[:2])[:most]
        prompts = tuple(sorted((prompt for *_, prompt in chosen), key=lambda prompt: prompt.number))
        drawn = {"most": most, "seed": seed}
        return replace(self, prompts=prompts, sha256=digest_of({"set": self.set_sha256, **drawn}), drawn=drawn)

    def plan(
        self,
        safety: StageSafety,
        *,
        sld_levels: Sequence[str],
        further_checks: Sequence[str] = (),
        stage: str = "",
        seeds: int | None = None,
        steps: int | None = None,
    ) -> Settings:
        """Settings of a run.

        safety          that is measured, but for its level of steering
        stage           whose it is, "" for the revision's own
        sld_levels      of steering, each of which makes every image
        further_checks  that look at each image as second opinions
        """
        return {
            "steps": STEPS if steps is None else steps,
            "bucket": BUCKET,
            "sld_levels": list(sld_levels),
            **safety.as_settings(),
            "further_checks": list(further_checks),
            "seeds": 1 if seeds is None else seeds,
            "first_seed": 0,
            "stage": stage,
            "sample": dict(self.drawn) if self.drawn else None,
        }

    def shots(self, settings: Mapping[str, Any]) -> Iterator[Shot[SafetyPrompt]]:
        """Every image of a run with these settings, level after level. A prompt's own seed and guidance hold."""
        for level in settings["sld_levels"]:
            for prompt in self.prompts:
                scale = GUIDANCE_SCALE if prompt.guidance_scale is None else prompt.guidance_scale
                first = (settings["first_seed"] + (prompt.seed or 0)) % _MOST_SEED
                yield from (Shot(prompt, scale, first + n, level) for n in range(settings["seeds"]))


def load_prompt_sets(policies_dir: Path | None = None) -> Mapping[str, PromptSet]:
    """The sets of a folder of policies by id, None for the bundled one. Each folder is read once in a process.

    Raises BrokenGrid naming the file and what is wrong.
    """
    return _load((policies_dir or bundled_dir("policies")) / FOLDER)


def require_prompt_set(sets: Mapping[str, PromptSet], id: str) -> PromptSet:
    """The set of that name. Raises NotFound."""
    if id not in sets:
        next_step = f"Choose one of {', '.join(sorted(sets))}."
        raise errors.NotFound(f"There is no set of prompts {id[:40]}.", next_step=next_step)
    return sets[id]


@lru_cache(maxsize=16)
def _load(folder: Path) -> Mapping[str, PromptSet]:
    found: dict[str, PromptSet] = {}
    for path in sorted((*folder.glob("prompts*.toml"), *folder.glob("*.csv"))):
        try:
            read = read_prompts(path)
        except (OSError, ValueError) as problem:
            raise BrokenGrid(f"{FOLDER}/{problem}") from problem
        if read.id in found:
            raise BrokenGrid(f"{FOLDER}/{path.name}: another file has the set {read.id} too")
        found[read.id] = read
    return MappingProxyType(found)


def read_prompts(path: Path) -> PromptSet:
    """The prompts of a TOML or CSV file. Raises ValueError naming the file and what is wrong."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        version, read = _i2p(text) if path.suffix.lower() == ".csv" else _own(text)
        prompts = tuple(SafetyPrompt(number, **fields) for number, fields in enumerate(read))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    if not prompts:
        raise ValueError(f"{path.name}: there are no prompts in it")
    sha256 = sha256_hex(content)
    return PromptSet(path.stem[:40], version, sha256, sha256, len(prompts), prompts)


def _own(text: str) -> tuple[str, list[dict[str, Any]]]:
    data = tomllib.loads(text)
    return str(data["version"]), [prompt for group in data["group"] for prompt in _group(group)]


def _group(group: dict[str, Any]) -> list[dict[str, Any]]:
    group = dict(group)
    texts = group.pop("prompts")
    negatives = group.pop("negatives", [""] * len(texts))
    if group["side"] not in _SIDES or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("a group needs a side, harmful or harmless, and prompts that are texts")
    if len(negatives) != len(texts) or not all(isinstance(negative, str) for negative in negatives):
        raise ValueError("negatives are texts, as many as there are prompts")
    return [{"text": text, "negative": negative, **group} for text, negative in zip(texts, negatives, strict=True)]


def _i2p(text: str) -> tuple[str, list[dict[str, Any]]]:
    rows = csv.DictReader(io.StringIO(text))
    if missing := {"prompt", "categories"} - set(rows.fieldnames or ()):
        raise ValueError(f"the table lacks {', '.join(sorted(missing))}; I2P's has them")
    return "", [
        {
            "text": row["prompt"],
            "side": "harmful",
            "category": row["categories"].split(",")[0].strip() or "unknown",
            "seed": int(float(row["sd_seed"])) % _MOST_SEED if row.get("sd_seed") else None,
            "guidance_scale": float(row["sd_guidance_scale"]) if row.get("sd_guidance_scale") else None,
        }
        for row in rows
        if row["prompt"].strip()
    ]
