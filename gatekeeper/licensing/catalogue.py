"""The operator's license texts: the files of `policies/licenses/`, brought into the database once."""

import asyncio
import re
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.licensing import texts
from gatekeeper.licensing.tables import CatalogueLicense, LicenseText

_SUFFIXES = (".txt", ".md")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]{0,79}")


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
    found = await session.scalars(
        sa.select(LicenseText)
        .join(CatalogueLicense, col(CatalogueLicense.text_sha256) == col(LicenseText.sha256))
        .where(col(CatalogueLicense.license_id) == license_id.lower())
        .order_by(col(CatalogueLicense.added_at).desc(), col(LicenseText.sha256))
        .limit(1)
    )
    return found.first()


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
