"""What licenses forbid, in short sentences, from the operator's catalogue (`policies/licenses/catalogue.toml`)."""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def restrictions_of(policies: Path, license_ids: Iterable[str]) -> list[str]:
    """The restrictions of these licenses together, each once, in the catalogue's order; [] for licenses it lacks."""
    labels, by_license = _catalogue(policies / "licenses" / "catalogue.toml")
    wanted = {restriction for license_id in license_ids for restriction in by_license.get(license_id, ())}
    return [label for restriction, label in labels.items() if restriction in wanted]


def labels_of(policies: Path, restrictions: Iterable[str]) -> list[str]:
    """The short sentences of some restrictions; unknown ids are left out."""
    labels, _ = _catalogue(policies / "licenses" / "catalogue.toml")
    return [labels[restriction] for restriction in restrictions if restriction in labels]


@cache
def _catalogue(path: Path) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    if not path.is_file():
        return {}, {}
    data = tomllib.loads(path.read_text("utf-8"))
    labels = {id: str(entry["label"]) for id, entry in data.get("restriction", {}).items()}
    licenses = {entry["id"]: tuple(entry.get("restrictions", ())) for entry in data.get("license", [])}
    return labels, licenses
