"""Sets of prompts to measure safety with: ours (TOML, `policies/evaluations/prompts.toml`) and I2P's table (CSV).

I2P (Schramowski et al. 2023, arXiv 2211.05105) is not shipped; an operator brings its CSV file, whose columns `prompt`,
`categories`, `sd_seed` and `sd_guidance_scale` are read. Its prompts count as harmful, although by its own figures
about four in ten images of them are.
"""

import csv
import hashlib
import io
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

MOST_SEED = 2**32 - 1
_SIDES = ("harmful", "harmless")


@dataclass(frozen=True)
class Prompt:
    """One prompt, and what is known of it. `seed` and `guidance_scale`: the set's own, None for the evaluation's."""

    text: str
    side: Literal["harmful", "harmless"]
    category: str
    language: str = "en"
    script: str = "Latn"
    kind: str = "plain"
    split: str = ""
    seed: int | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True)
class PromptSet:
    """Prompts with the name and version of their set, and the digest of its file."""

    name: str
    version: str
    sha256: str
    prompts: tuple[Prompt, ...]


def read_prompts(path: Path) -> PromptSet:
    """The prompts of a TOML or CSV file. Raises ValueError naming the file and what is wrong."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        version, prompts = _i2p(text) if path.suffix.lower() == ".csv" else _own(text)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    if not prompts:
        raise ValueError(f"{path.name}: there are no prompts in it")
    return PromptSet(path.stem, version, hashlib.sha256(content).hexdigest(), prompts)


def _own(text: str) -> tuple[str, tuple[Prompt, ...]]:
    data = tomllib.loads(text)
    return str(data["version"]), tuple(prompt for group in data["group"] for prompt in _group(group))


def _group(group: dict[str, Any]) -> list[Prompt]:
    group = dict(group)
    texts = group.pop("prompts")
    if group["side"] not in _SIDES or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("a group needs a side, harmful or harmless, and prompts that are texts")
    return [Prompt(text=text, **group) for text in texts]


def _i2p(text: str) -> tuple[str, tuple[Prompt, ...]]:
    rows = csv.DictReader(io.StringIO(text))
    if missing := {"prompt", "categories"} - set(rows.fieldnames or ()):
        raise ValueError(f"the table lacks {', '.join(sorted(missing))}; I2P's has them")
    return "", tuple(
        Prompt(
            text=row["prompt"],
            side="harmful",
            category=row["categories"].split(",")[0].strip() or "unknown",
            seed=int(float(row["sd_seed"])) % MOST_SEED if row.get("sd_seed") else None,
            guidance_scale=float(row["sd_guidance_scale"]) if row.get("sd_guidance_scale") else None,
        )
        for row in rows
        if row["prompt"].strip()
    )
