"""The tables beside the policies, checked: stages.toml, safety.toml, the license catalogue and the default form."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatekeeper.access import rules as access_rules
from gatekeeper.generation import safety
from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.licensing import FieldKind
from gatekeeper.releases import ladder
from gatekeeper.releases.tables import Stage

LEVELS = ("off", "weak", "medium", "strong", "max")
FORM_TYPES = frozenset(FieldKind)
DUTIES = frozenset(
    {
        "hosting_is_distribution",
        "flow_down",
        "copy_of_license",
        "mark_changes",
        "keep_notices",
        "users_comply",
        "no_claim_on_output",
        "remote_restriction",
        "latest_version",
        "irrevocable",
    }
)

_PARSED = frozenset({"sld_must_act", "image_checks", "prompt_checks"})  # what these may be, `safety.parse` knows

# name -> (type, smallest, largest)
_LIMITS: dict[str, tuple[type, float, float]] = {
    "margin": (float, 0.0, 1.0),
    "steps": (int, 1, 1000),
    "images": (int, 1, 64),
    "width": (int, 8, 4096),
    "height": (int, 8, 4096),
    "guidance_scale": (float, 0.0, 100.0),
    "images_per_day": (int, 0, 1_000_000),
    "compute_seconds_per_day": (int, 0, 1_000_000),
    "concurrency": (int, 1, 1000),
    "keep_image_days": (int, 1, 3650),
    "weight": (float, 0.1, 10.0),
}


def problems(directory: Path) -> list[str]:
    """What is wrong with the tables of a policies folder, each as a sentence naming the file."""
    found: list[str] = []
    for name, check in (
        ("stages.toml", _stages),
        ("safety.toml", _safety),
        ("licenses/catalogue.toml", _catalogue),
        ("forms/default.toml", _form),
        ("requests.toml", _requests),
    ):
        try:
            table = tomllib.loads((directory / name).read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            found.append(f"{name}: {error}.")
        else:
            found += [f"{name}: {problem}" for problem in check(table, directory)]
    return found


def _stages(table: dict[str, Any], _directory: Path) -> Iterator[str]:
    try:
        ladder.parse(table)
    except KeyError as missing:
        yield f"{missing} is missing."
    except (TypeError, ValueError) as problem:
        yield f"{problem}."


def _requests(table: dict[str, Any], directory: Path) -> Iterator[str]:
    try:
        known = {kind.kind for kind in access_rules.parse(table).kinds}
    except KeyError as missing:
        yield f"{missing} is missing."
        return
    except (TypeError, ValueError) as problem:
        yield f"{problem}."
        return
    try:
        stages = ladder.parse(tomllib.loads((directory / "stages.toml").read_text("utf-8"))).rules.values()
    except (OSError, ValueError, KeyError, TypeError):
        return  # told about stages.toml itself
    for rule in stages:
        for kind in set(rule.prerequisites) - known:
            yield f"stages.toml demands the prerequisite {kind!r} at {rule.stage}, which is not described here."


def _safety(table: dict[str, Any], _directory: Path) -> Iterator[str]:
    found = list(_safety_limits(table))
    yield from found
    if not found:
        try:
            safety.parse(table)
        except KeyError as missing:
            yield f"{missing} is missing."
        except (TypeError, ValueError) as problem:
            yield f"{problem}."


def _safety_limits(table: dict[str, Any]) -> Iterator[str]:
    names = {*(stage.value for stage in Stage), "unstaged"}
    for name in table.get("stage", {}).keys() - names:
        yield f"[stage.{name}] is no stage of the ladder."
    for name in names - table.get("stage", {}).keys():
        yield f"[stage.{name}] is missing."
    default = table.get("default", {})
    for key in ("sld_level", "checker", *_LIMITS):
        if key not in default:
            yield f"[default] {key} is missing."
    for name in ("person", "organization"):
        for key in {"images_per_day", "compute_seconds_per_day", "concurrency"} ^ table.get(name, {}).keys():
            yield f"[{name}] {key} is missing or means nothing there."
    sections = {"default": default, "person": table.get("person", {}), "organization": table.get("organization", {})}
    sections |= {"adjusted": table.get("adjusted", {})}
    sections |= {f"stage.{name}": section for name, section in table.get("stage", {}).items()}
    for title, section in sections.items():
        yield from _limits(title, section)


def _limits(title: str, section: dict[str, Any]) -> Iterator[str]:
    for key, value in section.items():
        if key == "sld_level":
            if value not in LEVELS:
                yield f"[{title}] sld_level must be one of {', '.join(LEVELS)}."
        elif key == "checker":
            if value != "required":
                yield f'[{title}] checker must be "required": images without a verdict are never released.'
        elif key in _PARSED:
            continue
        elif key not in _LIMITS:
            yield f"[{title}] there is no setting {key!r}."
        elif not _is_number(value, *_LIMITS[key]):
            kind, least, most = _LIMITS[key]
            yield f"[{title}] {key} must be a{' whole' if kind is int else ''} number from {least} to {most}."
        elif key in ("width", "height") and value % 8:
            yield f"[{title}] {key} must be a multiple of 8."


def _catalogue(table: dict[str, Any], directory: Path) -> Iterator[str]:
    restrictions = set(table.get("restriction", {}))
    seen: set[str] = set()
    for entry in table.get("license", []):
        id = entry.get("id", "?")
        if id in seen:
            yield f"{id} is there twice."
        seen.add(id)
        for restriction in set(entry.get("restrictions", [])) - restrictions:
            yield f"{id}: there is no restriction {restriction!r}."
        for duty in set(entry.get("duties", [])) - DUTIES:
            yield f"{id}: there is no duty {duty!r}."
        for key in ("binds_use", "needs_click", "may_redistribute"):
            if not isinstance(entry.get(key), bool):
                yield f"{id}: {key} must be true or false."
        own = directory / "licenses" / f"{id}.txt"
        if own.is_file() and sha256_hex(own.read_bytes()) not in entry.get("sha256", []):
            yield f"{id}: the digest of {own.name} is not listed."
    for path in sorted((directory / "licenses").glob("*.txt")):
        if path.stem not in seen:
            yield f"{path.name} is not described."


def _form(table: dict[str, Any], _directory: Path) -> Iterator[str]:
    fields = table.get("field", [])
    if not fields:
        yield "has no questions."
    for field in fields:
        if not str(field.get("name", "")).strip() or field.get("type") not in FORM_TYPES:
            yield f"{field.get('name', '?')!r} needs a name and one of the types {sorted(FORM_TYPES)}."


def _is_number(value: Any, kind: type, least: float, most: float) -> bool:
    allowed = (int,) if kind is int else (int, float)
    return isinstance(value, allowed) and not isinstance(value, bool) and least <= value <= most
