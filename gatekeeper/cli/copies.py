"""Copies of the database, of either kind: made while the hub runs, and brought back once nothing objects.

SQLite is copied by its own backup. PostgreSQL by `pg_dump` and `pg_restore`, which must be on this machine; what else
the backup says of the database is read on the very snapshot that is dumped.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.cli import archive
from gatekeeper.cli.archive import Archive
from gatekeeper.cli.run import Failure, House
from gatekeeper.db import Database


@asynccontextmanager
async def saved(house: House, folder: Path) -> AsyncIterator[AsyncSession]:
    """Copy the database into `folder`; gives a session on exactly what was copied."""
    if house.db.path is None:
        async with _dumped(house.db, folder / archive.DUMP) as session:
            yield session
        return
    await asyncio.to_thread(archive.copy_database, house.db.path, folder)
    copied = Database(f"sqlite+aiosqlite:///{(folder / archive.DATABASE).resolve()}")
    try:
        async with copied.read() as session:
            yield session
    finally:
        await copied.close()
        await asyncio.to_thread(_without_log, folder / archive.DATABASE)


async def require_free(house: House) -> None:
    """Raise Failure unless there is no database yet where one would be brought back."""
    if house.db.path is None:
        async with house.db.read() as session:
            tables = await session.run_sync(lambda sync: sa.inspect(sync.connection()).get_table_names())
        if tables:
            raise Failure("The database in PostgreSQL is not empty. Name an empty one in GATEKEEPER_DATABASE_URL.")
        return
    await asyncio.to_thread(_require_no_file, house.db.path)


@asynccontextmanager
async def brought_back(house: House, found: Archive) -> AsyncIterator[Database]:
    """The database of a backup, to be looked at: it stays if that ends well, and otherwise nothing of it does."""
    if found.is_dump is not (house.db.path is None):
        kind = "PostgreSQL" if found.is_dump else "SQLite"
        raise Failure(f"The backup is of a database in {kind}, and the settings name one of another kind.")
    if house.db.path is None:
        await asyncio.to_thread(_run, house.db, "pg_restore", "--single-transaction", "--no-owner", str(found.database))
        try:
            yield house.db
        except BaseException:
            await _empty(house.db)
            raise
        return
    copy = Path(f"{house.db.path}.restoring")
    try:
        await asyncio.to_thread(archive.place, found.database, copy)
        database = Database(f"sqlite+aiosqlite:///{copy}")
        try:
            yield database
        finally:
            await database.close()
        await asyncio.to_thread(_without_log, copy)
        await asyncio.to_thread(copy.replace, house.db.path)
    finally:
        await asyncio.to_thread(copy.unlink, missing_ok=True)
        await asyncio.to_thread(_without_log, copy)


@asynccontextmanager
async def _dumped(database: Database, target: Path) -> AsyncIterator[AsyncSession]:
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        async with AsyncSession(bind=connection) as session:
            snapshot = await session.scalar(sa.text("SELECT pg_export_snapshot()"))
            await asyncio.to_thread(
                _run,
                database,
                "pg_dump",
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                f"--snapshot={snapshot}",
                f"--file={target}",
            )
            yield session


def _require_no_file(path: str) -> None:
    target = Path(path).resolve()
    if any(Path(f"{target}{end}").exists() for end in ("", "-wal", "-shm")):
        raise Failure(f"There is a database at {target} already. Move it away first.")


async def _empty(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))


def _run(database: Database, program: str, *words: str) -> None:
    """Run one of PostgreSQL's programs on the database. Raises Failure where it is not there, or fails."""
    path = shutil.which(program)
    if path is None:
        raise Failure(
            f"There is no {program} on this machine. Install PostgreSQL's client programs, of the server's version "
            "or newer."
        )
    url = sa.make_url(database.url).set(drivername="postgresql")
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}  # never among the words that others can see
    address = url.set(password=None).render_as_string()
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL, and no words of strangers
        [path, f"--dbname={address}", *words],
        env=os.environ | secret,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,  # what is written is for its owner only
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[:500] or f"exit status {done.returncode}"
        raise Failure(f"{program} failed: {said}")


def _without_log(database: Path) -> None:
    """Reading a copy left a log beside it; nobody wrote, so it holds nothing that the copy does not."""
    for end in ("-wal", "-shm"):
        Path(f"{database}{end}").unlink(missing_ok=True)
