"""Licenses this hub knows: what they ask, as data (`policies/licenses/catalogue.toml`), and the operator's texts."""

import asyncio
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.licensing import texts
from gatekeeper.licensing.tables import CatalogueLicense, LicenseText

_SUFFIXES = (".txt", ".md")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]{0,79}")


@dataclass(frozen=True, slots=True)
class Known:
    """One license of the catalogue. Restrictions and duties are ids that the file explains.

    copies   SHA-256 of known copies; a text is recognized by these
    words    canonical digests of known copies; a text of the same words is only suggested to be this license
    package  its file in the package `licensedcode-data`, "" where that has none
    """

    id: str
    title: str
    date: date | None
    family: str
    restrictions: tuple[str, ...]
    duties: tuple[str, ...]
    copies: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    package: str = ""

    @property
    def is_rail(self) -> bool:
        """Whether its use restrictions must be passed on with every copy and derivative."""
        return self.family == "rail"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Licenses by identifier, in the file's order, and a short sentence for each restriction's id."""

    licenses: Mapping[str, Known] = field(default_factory=lambda: MappingProxyType({}))
    restrictions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def by_copy(self, sha256: str) -> Known | None:
        """The license that exactly these bytes are."""
        return next((known for known in self.licenses.values() if sha256 in known.copies), None)

    def by_words(self, canonical_sha256: str) -> list[Known]:
        """Licenses with a known copy of these words."""
        return [known for known in self.licenses.values() if canonical_sha256 in known.words]

    @classmethod
    def load(cls, policies_dir: Path) -> "Catalogue":
        """The catalogue of a folder of policies; an empty one where it has none. Each folder is read once in a process.

        Raises ValueError naming the file and what is wrong.
        """
        return _load(policies_dir / "licenses" / "catalogue.toml")


@lru_cache(maxsize=16)
def _load(path: Path) -> Catalogue:
    if not path.is_file():
        return Catalogue()
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        licenses = {entry["id"]: _known(entry) for entry in data.get("license", [])}
        labels = {name: str(entry["label"]) for name, entry in data.get("restriction", {}).items()}
        unknown = {each for known in licenses.values() for each in known.restrictions} - labels.keys()
        if unknown:
            raise ValueError(f"unknown restriction {', '.join(sorted(unknown))}")
    except (ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{path}: {problem}") from problem
    return Catalogue(MappingProxyType(licenses), MappingProxyType(labels))


def _known(entry: Mapping[str, Any]) -> Known:
    return Known(
        id=str(entry["id"]),
        title=str(entry["title"]),
        date=entry.get("date"),
        family=str(entry["family"]),
        restrictions=tuple(entry["restrictions"]),
        duties=tuple(entry["duties"]),
        copies=tuple(entry.get("sha256", ())),
        words=tuple(entry.get("canonical", ())),
        package=str(entry.get("package", "")),
    )


async def import_catalogue(session: AsyncSession, directory: Path) -> list[LicenseText]:
    """Add every `<license id>.txt` or `.md` of `directory`; files that are known already change nothing.

    The title is the first line of the text. A file whose name is no license identifier is left alone.
    """
    files = await asyncio.to_thread(_read, directory)
    return [await add_license(session, license_id, body, title=_title(body, license_id)) for license_id, body in files]


async def add_license(session: AsyncSession, license_id: str, body: bytes, *, title: str) -> LicenseText:
    """Say that this text is what a card means by `license_id`. Commits whose terms are remembered keep theirs."""
    text = await texts.add(session, body, title=title)
    await session.flush()  # the entry refers to it
    if await session.get(CatalogueLicense, (license_id, text.sha256)) is None:
        session.add(CatalogueLicense(license_id=license_id, text_sha256=text.sha256))
        await session.flush()  # found by the next call
        await ledger.record(
            session, "licensing:catalogue:add", subject=text.sha256, body={"license_id": license_id, "title": title}
        )
    return text


async def by_license_id(session: AsyncSession, license_id: str) -> LicenseText | None:
    """The newest text of the catalogue for a card's license identifier."""
    return (await by_license_ids(session, {license_id})).get(license_id.lower())


async def by_license_ids(session: AsyncSession, license_ids: Collection[str]) -> dict[str, LicenseText]:
    """The same for several, by identifier in lower case; those that the catalogue does not have are left out."""
    if not license_ids:
        return {}
    rows = await session.execute(
        sa.select(col(CatalogueLicense.license_id), LicenseText)
        .join(CatalogueLicense, col(CatalogueLicense.text_sha256) == col(LicenseText.sha256))
        .where(col(CatalogueLicense.license_id).in_({license_id.lower() for license_id in license_ids}))
        .order_by(col(CatalogueLicense.added_at), col(LicenseText.sha256).desc())  # what comes last is kept
    )
    return {row[0]: row[1] for row in rows}


def _read(directory: Path) -> list[tuple[str, bytes]]:
    if not directory.is_dir():
        return []
    return [
        (path.stem, path.read_bytes())
        for path in sorted(directory.iterdir())
        if path.suffix in _SUFFIXES and path.is_file() and _IDENTIFIER.fullmatch(path.stem)
    ]


def _title(body: bytes, license_id: str) -> str:
    first = next((line for line in texts.readable(body).splitlines() if line.strip()), "")
    return first.strip(" #*\t\ufeff") or license_id
