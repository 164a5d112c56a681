"""`licenses`: what this hub knows of licenses, and their texts."""

import asyncio
from pathlib import Path

import click

from gatekeeper import licensing
from gatekeeper.accounts import OPERATOR
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import Invalid
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.licensing import Catalogue


@click.group("licenses")
def licenses_group() -> None:
    """License texts, and what they ask."""


@licenses_group.command("list")
@json_option
@pass_house
@command
async def list_licenses(house: House, as_json: bool) -> None:
    """The licenses of the catalogue, with the digest of the text that a card's identifier stands for here."""
    rows = []
    async with house.read() as session:
        for known in _catalogue(house).licenses.values():
            text = await licensing.by_license_id(session, known.id)
            rows.append(
                {
                    "id": known.id,
                    "title": known.title,
                    "family": known.family,
                    "restrictions": list(known.restrictions),
                    "duties": list(known.duties),
                    "text_sha256": text.sha256 if text else None,
                }
            )
    lines = [f"{row['id']:<28} {(row['text_sha256'] or 'no text')[:12]:<12} {row['title']}" for row in rows]
    show(rows, "\n".join(lines), as_json=as_json)


@licenses_group.command("show")
@click.argument("sha256")
@json_option
@pass_house
@command
async def show_text(house: House, sha256: str, as_json: bool) -> None:
    """A text by its digest: what it is recognized as, else what its words suggest, and the text itself."""
    catalogue = _catalogue(house)
    async with house.read() as session:
        text = await licensing.get(session, sha256)
        known = await licensing.recognized(session, sha256, catalogue=catalogue)
        alike = [] if known else await licensing.suggested(session, text.body, catalogue=catalogue)
    body = text.body.decode("utf-8", "replace")
    value = {
        "sha256": sha256,
        "canonical_sha256": text.canonical_sha256,
        "title": text.title,
        "license": known.id if known else None,
        "suggested": [each.id for each in alike],
        "text": body,
    }
    if known:
        said = f"It is {known.title} ({known.id})."
    elif alike:
        said = f"Its words are those of {', '.join(each.id for each in alike)}: compare, then `licenses recognize`."
    else:
        said = "No license of the catalogue has this text."
    show(value, f"{text.title}\n{said}\n\n{body.rstrip()}", as_json=as_json)


@licenses_group.command("add")
@click.argument("license_id")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--title", default="", help="Title of the text; the catalogue's if left out.")
@json_option
@pass_house
@command
async def add(house: House, license_id: str, file: Path | None, title: str, as_json: bool) -> None:
    """Say which text LICENSE_ID in a card stands for: that of FILE, else of the package licensedcode-data.

    Commits keep the terms they have; new ones without a LICENSE file get this text.
    """
    await house.require_current()
    known = _catalogue(house).licenses.get(license_id)
    if file is not None:
        body = await asyncio.to_thread(file.read_bytes)
    elif known is not None and known.package:
        body = licensing.packaged_text(known.package)
    else:
        raise Invalid(f"No package has the text of {license_id}.", next_step="Give the file that holds it.")
    if not licensing.is_readable(body):
        raise Invalid("The text is empty, too long or no UTF-8.", next_step="Give the license as plain text.")
    async with house.write() as session:
        text = await licensing.add_license(
            session, license_id.lower(), body, title=title or (known.title if known else license_id)
        )
    value = {"id": license_id.lower(), "sha256": text.sha256, "canonical_sha256": text.canonical_sha256}
    show(value, f"{license_id.lower()} is now the text {text.sha256}.", as_json=as_json)


@licenses_group.command("recognize")
@click.argument("sha256")
@click.argument("license_id")
@json_option
@pass_house
@command
async def recognize(house: House, sha256: str, license_id: str, as_json: bool) -> None:
    """Confirm, having compared them, that the text SHA256 is the license LICENSE_ID of the catalogue."""
    await house.require_current()
    async with house.write() as session:
        text = await licensing.get(session, sha256)
        await licensing.recognize(session, text, license_id, catalogue=_catalogue(house), by=OPERATOR)
    show({"sha256": sha256, "license": license_id}, f"{sha256} is {license_id} from now on.", as_json=as_json)


def _catalogue(house: House) -> Catalogue:
    return Catalogue.load(house.policies.directory or bundled_dir("policies"))
