"""`db backup` and `db restore`: a copy that can be trusted, and coming back without losing a revocation unseen."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger, schema
from gatekeeper.cli import archive, copies
from gatekeeper.cli.archive import Archive
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.db import Database
from gatekeeper.kit.note import Checkpoint, open_note
from gatekeeper.kit.signing import SigningKey
from gatekeeper.repos.storage import DirectoryStore, object_key, xorb_key
from gatekeeper.repos.tables import StoredObject, StoredXorb

_SIGNING = "signing.ed25519"


@click.command("backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--files", is_flag=True, help="Also copy the content of a store in a directory.")
@click.option("--keys", is_flag=True, help="Also copy the hub's keys; then keep the backup as secret as they are.")
@json_option
@pass_house
@command
async def backup(house: House, folder: Path, files: bool, keys: bool, as_json: bool) -> None:
    """Copy the database to a new FOLDER while the hub runs, with a list of the files that it needs."""
    await asyncio.to_thread(archive.begin, folder)
    async with house.write() as session:
        await ledger.record(session, "operator:backup:make", body={"files": files, "keys": keys})
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    revision = await schema.revision_of(house.db)
    async with copies.saved(house, folder) as session:
        stored = await _stored(session)
        newest = await ledger.newest_checkpoint(session)
    head = newest.note if newest else ""
    if files:
        if not isinstance(house.store, DirectoryStore):
            raise Failure("The files lie in a bucket: copy it with the bucket's own tools, after the database.")
        # After the database: what it names is there by now, and nothing that is named is ever collected.
        await asyncio.to_thread(
            archive.place_all, house.settings.storage_dir, folder / archive.FILES, skip=("staging",)
        )
    if keys:
        await asyncio.to_thread(archive.place_all, house.settings.keys_dir, folder / archive.KEYS)
    await asyncio.to_thread(archive.write, folder, checkpoint=head, revision=revision, stored=stored)
    value = {"folder": str(folder), "files": len(stored), "has_files": files, "has_keys": keys}
    text = f"Saved. The database names {len(stored)} stored files; they are {'' if files else 'not '}in the backup."
    show(value, text, as_json=as_json)


@click.command("restore")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--checkpoint", "kept", type=click.File(), multiple=True, help="A checkpoint kept elsewhere, the newest.")
@click.option("--older", is_flag=True, help="Restore although the kept checkpoint shows that later acts are missing.")
@json_option
@pass_house
@command
async def restore(house: House, folder: Path, kept: Sequence[Any], older: bool, as_json: bool) -> None:
    """Bring back a backup in FOLDER. Stops before changing anything if its log is not intact and complete."""
    await copies.require_free(house)
    found = await asyncio.to_thread(archive.read, folder)
    public = await asyncio.to_thread(_public_key, house, found)
    async with copies.brought_back(house, found) as database:
        missing = await _check(found, database, public, tuple(file.read() for file in kept))
        if missing and not older:
            raise Failure(
                f"The backup lacks the last {missing} events of the kept checkpoint, revocations perhaps among them. "
                "Look for a newer one. With --older it is restored; do again what was done since before people come in."
            )
        if found.keys is not None:
            await asyncio.to_thread(archive.place_all, found.keys, house.settings.keys_dir)
        if found.files is not None:
            await asyncio.to_thread(archive.place_all, found.files, house.settings.storage_dir)
    await schema.upgrade(house.db)
    async with house.write() as session:
        size = await ledger.sealed_size(session)
        await ledger.record(session, "operator:backup:restore", body={"size": size, "missing": missing})
    absent = await _absent(house, found)
    value = {"events": size, "missing_events": missing, "absent_files": absent, "made_at": found.manifest["made_at"]}
    text = f"Restored {size} events, as of {found.manifest['made_at']}."
    text += f" The last {missing} events are missing: repeat what was revoked or held since." if missing else ""
    text += f" {len(absent)} stored files are not there; see `gatekeeper repos verify`." if absent else ""
    if not kept:
        text += " No kept checkpoint was given, so nobody knows whether later events are missing."
    show(value, text, as_json=as_json)


def _public_key(house: House, found: Archive) -> bytes:
    """The key that the log must be signed with: this hub's own, or that in the backup when there is none yet."""
    own, saved = house.settings.keys_dir / _SIGNING, (found.keys or found.folder / archive.KEYS) / _SIGNING
    if own.exists():
        if saved.exists() and saved.read_bytes() != own.read_bytes():
            raise Failure(f"The keys in {own.parent} are not those of the backup. Move them away first.")
        return SigningKey.load_or_create(own).public
    if not saved.exists():
        raise Failure(f"The backup holds no keys. Put the hub's keys into {own.parent} first.")
    return SigningKey.load_or_create(saved).public


async def _check(found: Archive, database: Database, public: bytes, kept: tuple[str, ...]) -> int:
    """How many events the log in `database` lacks. Raises Failure unless what it holds is intact."""
    try:
        sizes = [Checkpoint.parse(open_note(note, public)).size for note in kept]
    except ValueError as error:
        raise Failure(f"The kept checkpoint cannot be trusted: {error}.") from None
    async with database.read() as session:
        size = await ledger.sealed_size(session)
        within = [note for note, at in zip(kept, sizes, strict=True) if at <= size]
        report = await ledger.verify(session, public, kept=[*within, *filter(None, [found.checkpoint])])
    if not report.is_intact:
        raise Failure("The evidence log in the backup is not intact: " + "; ".join(report.faults[:5]))
    return max([at - size for at in sizes if at > size], default=0)


async def _stored(session: AsyncSession) -> list[dict[str, Any]]:
    """Every file that the database names, by its place in the store."""
    files = await session.execute(sa.select(col(StoredObject.sha256), col(StoredObject.size_bytes)))
    rows = [{"key": object_key(sha256), "size": size} for sha256, size in files]
    xorbs = await session.scalars(sa.select(StoredXorb))
    return rows + [{"key": xorb_key(xorb.place, xorb.xorb_hash), "size": xorb.size_bytes} for xorb in xorbs]


async def _absent(house: House, found: Archive) -> list[str]:
    stored = found.manifest["stored"]
    return [row["key"] for row in stored if await house.store.size(row["key"]) is None]
