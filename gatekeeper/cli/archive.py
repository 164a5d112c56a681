"""A backup as a folder: a consistent copy of the database, what the store must hold, and the log's signed head.

gatekeeper.sqlite3   the database, copied while the hub runs; gatekeeper.pgdump where it is in PostgreSQL
checkpoint.txt       the signed head of the evidence log in it
manifest.json        what is in the backup, with digests; every file that the database names
files/               the store's content, if asked for
keys/                the hub's keys, if asked for
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatekeeper.db import connect_sqlite
from gatekeeper.errors import Conflict, Invalid, NotFound
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now

FORMAT = "gatekeeper-backup"
VERSION = 1
DATABASE, DUMP = "gatekeeper.sqlite3", "gatekeeper.pgdump"
CHECKPOINT, MANIFEST, FILES, KEYS = "checkpoint.txt", "manifest.json", "files", "keys"
_CHUNK = 2**20


@dataclass(frozen=True)
class Archive:
    """A backup that was read. `manifest` is as it was written."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def database(self) -> Path:
        """Its copy of the database."""
        return self.folder / (DUMP if self.is_dump else DATABASE)

    @property
    def is_dump(self) -> bool:
        """Whether the database was in PostgreSQL."""
        return (self.folder / DUMP).is_file()

    @property
    def checkpoint(self) -> str:
        """The head of the log when it was made; empty for an empty log."""
        path = self.folder / CHECKPOINT
        return path.read_text() if path.exists() else ""

    @property
    def keys(self) -> Path | None:
        """The keys in it, if it has them."""
        return self.folder / KEYS if (self.folder / KEYS).is_dir() else None

    @property
    def files(self) -> Path | None:
        """The store's content in it, if it has that."""
        return self.folder / FILES if (self.folder / FILES).is_dir() else None


def begin(folder: Path) -> None:
    """Make the folder, for its owner only. Raises Conflict when something is in it already."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty.", next_step="Name a new folder for each backup.")


def copy_database(source: str, folder: Path) -> None:
    """Copy the database as it is at one instant, though others write (SQLite's online backup)."""
    begun = connect_sqlite(source)
    made = sqlite3.connect(folder / DATABASE)
    try:
        begun.backup(made)
        made.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        found = made.execute("PRAGMA quick_check").fetchone()[0]
    finally:
        made.close()
        begun.close()
    (folder / DATABASE).chmod(0o600)
    if found != "ok":
        raise Conflict(f"The copy of the database is damaged: {found}.", next_step="Check the disk.")


def write(folder: Path, *, checkpoint: str, revision: str, stored: list[dict[str, Any]]) -> dict[str, Any]:
    """Write what completes a backup, the manifest last: without it a folder is no backup."""
    if checkpoint:
        (folder / CHECKPOINT).write_text(checkpoint)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": instant_text(now()),
        "revision": revision,
        "database_sha256": digest(Archive(folder, {}).database),
        "stored": stored,
        "has_files": (folder / FILES).is_dir(),
        "has_keys": (folder / KEYS).is_dir(),
    }
    fresh = folder / f".{MANIFEST}"
    fresh.write_text(json.dumps(manifest, indent=1))
    fresh.replace(folder / MANIFEST)
    return manifest


def read(folder: Path) -> Archive:
    """The backup in a folder. Raises NotFound or Invalid for what is none, or was changed or cut off."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise NotFound(f"{folder} is no backup.", next_step="Name the folder that `db backup` made.") from None
    except ValueError as error:
        raise Invalid("The backup's manifest is damaged.", next_step="Take another backup.") from error
    if not isinstance(manifest, dict) or (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        raise Invalid("The backup has another form than this program's.", next_step="Use the version that made it.")
    archive = Archive(folder, manifest)
    if not archive.database.is_file() or digest(archive.database) != manifest.get("database_sha256"):
        raise Invalid("The backup's database is not the one that was saved.", next_step="Take another backup.")
    return archive


def place(source: Path, target: Path) -> None:
    """Copy one file, on disk and whole or not at all; for its owner only."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_name(f".{target.name}.restoring")
    with (
        source.open("rb") as reader,
        os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as writer,
    ):
        shutil.copyfileobj(reader, writer, _CHUNK)
        writer.flush()
        os.fsync(writer.fileno())
    fresh.replace(target)


def place_all(source: Path, target: Path, *, skip: Iterable[str] = ()) -> int:
    """Copy every file of a folder that is not there yet; returns how many."""
    count, left_out = 0, frozenset(skip)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        is_ours = path.is_file() and not path.is_symlink() and relative.parts[0] not in left_out
        if is_ours and not (target / relative).exists():
            place(path, target / relative)
            count += 1
    return count


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
