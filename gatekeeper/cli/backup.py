"""`db backup` and `db restore`: a copy that can be trusted, and coming back without losing a revocation unseen."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import ledger, schema
from gatekeeper.cli import archive
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
    source = _sqlite_path(house)
    await asyncio.to_thread(archive.begin, folder)
    async with house.write() as session:
        await ledger.record(session, "operator:backup:make", body={"files": files, "keys": keys})
    await ledger.Sealer(house.db, house.keys.signing, origin=house.settings.ledger_origin).seal()
    await asyncio.to_thread(archive.copy_database, source, folder)
    copied = Database(f"sqlite+aiosqlite:///{(folder / archive.DATABASE).resolve()}")
    try:
        stored = await _stored(copied)
        head = await _head(copied)
        revision = await schema.revision_of(copied)
    finally:
        await copied.close()
    await asyncio.to_thread(_without_log, folder / archive.DATABASE)
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
    target = await asyncio.to_thread(_free_place, house)
    found = await asyncio.to_thread(archive.read, folder)
    public = await asyncio.to_thread(_public_key, house, found)
    copy = target.with_name(f"{target.name}.restoring")
    try:
        await asyncio.to_thread(archive.place, found.database, copy)
        missing = await _check(found, copy, public, tuple(file.read() for file in kept))
        if missing and not older:
            raise Failure(
                f"The backup lacks the last {missing} events of the kept checkpoint, revocations perhaps among them. "
                "Look for a newer one. With --older it is restored; do again what was done since before people come in."
            )
        if found.keys is not None:
            await asyncio.to_thread(archive.place_all, found.keys, house.settings.keys_dir)
        if found.files is not None:
            await asyncio.to_thread(archive.place_all, found.files, house.settings.storage_dir)
        await asyncio.to_thread(_without_log, copy)
        copy.replace(target)
    finally:
        copy.unlink(missing_ok=True)
        await asyncio.to_thread(_without_log, copy)
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


def _sqlite_path(house: House) -> str:
    if house.db.path is None:
        raise Failure("The database is PostgreSQL: save and restore it with its own tools, as docs/backup.md says.")
    return house.db.path


def _free_place(house: House) -> Path:
    """Where the database will lie. Raises Failure when one is there."""
    target = Path(_sqlite_path(house)).resolve()
    if any(Path(f"{target}{end}").exists() for end in ("", "-wal", "-shm")):
        raise Failure(f"There is a database at {target} already. Move it away first.")
    return target


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


async def _check(found: Archive, copy: Path, public: bytes, kept: tuple[str, ...]) -> int:
    """How many events the log in `copy` lacks. Raises Failure unless what it holds is intact."""
    try:
        sizes = [Checkpoint.parse(open_note(note, public)).size for note in kept]
    except ValueError as error:
        raise Failure(f"The kept checkpoint cannot be trusted: {error}.") from None
    database = Database(f"sqlite+aiosqlite:///{copy}")
    try:
        async with database.read() as session:
            size = await ledger.sealed_size(session)
            within = [note for note, at in zip(kept, sizes, strict=True) if at <= size]
            report = await ledger.verify(session, public, kept=[*within, *filter(None, [found.checkpoint])])
    finally:
        await database.close()
    if not report.is_intact:
        raise Failure("The evidence log in the backup is not intact: " + "; ".join(report.faults[:5]))
    return max([at - size for at in sizes if at > size], default=0)


async def _stored(database: Database) -> list[dict[str, Any]]:
    """Every file that the database names, by its place in the store."""
    async with database.read() as session:
        files = await session.execute(sa.select(col(StoredObject.sha256), col(StoredObject.size_bytes)))
        rows = [{"key": object_key(sha256), "size": size} for sha256, size in files]
        xorbs = await session.scalars(sa.select(StoredXorb))
        return rows + [{"key": xorb_key(xorb.place, xorb.xorb_hash), "size": xorb.size_bytes} for xorb in xorbs]


async def _head(database: Database) -> str:
    async with database.read() as session:
        newest = await ledger.newest_checkpoint(session)
    return newest.note if newest else ""


async def _absent(house: House, found: Archive) -> list[str]:
    stored = found.manifest["stored"]
    return [row["key"] for row in stored if await house.store.size(row["key"]) is None]


def _without_log(database: Path) -> None:
    """Reading a copy left a log beside it; nobody wrote, so it holds nothing that the copy does not."""
    for end in ("-wal", "-shm"):
        Path(f"{database}{end}").unlink(missing_ok=True)
