"""What licenses forbid, in short sentences, from the operator's catalogue (`policies/licenses/catalogue.toml`)."""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gatekeeper.authz.resource import Text


def restrictions_of(policies: Path, texts: Iterable[Text]) -> list[str]:
    """The restrictions of these texts together, each once, in the catalogue's order.

    A text is known by its digest, or by the identifier that the operator vouched for; others have none here.
    """
    labels, by_license, by_digest = _catalogue(policies / "licenses" / "catalogue.toml")
    wanted: set[str] = set()
    for text in texts:
        wanted |= set(by_digest.get(text.sha256, ())) | set(by_license.get(text.license_id, ()))
    return [label for restriction, label in labels.items() if restriction in wanted]


def labels_of(policies: Path, restrictions: Iterable[str]) -> list[str]:
    """The short sentences of some restrictions; unknown ids are left out."""
    labels, _, _ = _catalogue(policies / "licenses" / "catalogue.toml")
    return [labels[restriction] for restriction in restrictions if restriction in labels]


def title_of(policies: Path, license_id: str) -> str:
    """The title of a license that the catalogue knows, else its identifier."""
    return _titles(policies / "licenses" / "catalogue.toml").get(license_id, license_id)


def titles(policies: Path) -> dict[str, str]:
    """Titles of the licenses that the catalogue knows, by their identifiers."""
    return dict(_titles(policies / "licenses" / "catalogue.toml"))


@cache
def _titles(path: Path) -> dict[str, str]:
    data = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {entry["id"]: str(entry["title"]) for entry in data.get("license", [])}


Restrictions = dict[str, tuple[str, ...]]


@cache
def _catalogue(path: Path) -> tuple[dict[str, str], Restrictions, Restrictions]:
    """Labels by restriction; restrictions by license identifier and by a text's digest."""
    if not path.is_file():
        return {}, {}, {}
    data = tomllib.loads(path.read_text("utf-8"))
    labels = {id: str(entry["label"]) for id, entry in data.get("restriction", {}).items()}
    licenses = data.get("license", [])
    by_license = {entry["id"]: tuple(entry.get("restrictions", ())) for entry in licenses}
    by_digest = {
        sha256: tuple(entry.get("restrictions", ())) for entry in licenses for sha256 in entry.get("sha256", ())
    }
    return labels, by_license, by_digest
