"""The database's schema: bringing it up to date, and saying whether it is.

Migrations lie in `alembic/` (in the installed wheel, else in the checkout). Alembic is driven from here, inside one
transaction, so a migration that fails leaves nothing behind, on SQLite as on PostgreSQL.
"""

import asyncio
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from gatekeeper import models
from gatekeeper.db import Database
from gatekeeper.errors import Unavailable
from gatekeeper.kit import revision
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.sealing import Box

_LOCK = 0x67617466  # PostgreSQL advisory lock of whoever migrates


def _is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    return not (kind == "table" and name == revision.TABLE)  # made by a helper, unknown to the models


COMPARED: dict[str, Any] = {"compare_type": True, "include_name": _is_ours}


async def upgrade(database: Database) -> str:
    """Bring the database to the present schema; returns its revision. Safe to repeat and to run twice at once."""
    return await _migrate(database, lambda config: command.upgrade(config, "head"))


async def downgrade(database: Database, target: str) -> str:
    """Take migrations back down to `target` (`base` removes everything). For tests and for emergencies."""
    return await _migrate(database, lambda config: command.downgrade(config, target))


async def is_current(database: Database) -> bool:
    """Whether the database has exactly the schema that this code expects."""
    return await _revision(database) == _head()


async def revision_of(database: Database) -> str:
    """The revision of the database's schema, empty before the first."""
    return await _revision(database) or ""


async def require_current(database: Database) -> None:
    """Raise Unavailable, saying what to do, unless the database has the schema that this code expects."""
    found = await _revision(database)
    if found == _head():
        return
    if found is not None and not _is_known(found):
        raise Unavailable(
            "The database was made by a newer version of Gatekeeper.", next_step="Install that version again."
        )
    raise Unavailable("The database is not at the present schema.", next_step="Run `gatekeeper db upgrade`.")


async def differences(database: Database) -> list[Any]:
    """What autogenerate would still change: empty when migrations and models agree."""

    def compare(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection, opts=COMPARED), models.metadata))

    async with database.engine.connect() as connection:
        return await connection.run_sync(compare)


def make_template(path: Path) -> Path:
    """A migrated, empty SQLite database in `path`: tests copy it, which takes a hundredth of migrating each time."""

    async def make() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await upgrade(database)
        await database.close()

    asyncio.run(make())
    return path


def copy_template(template: Path, path: Path) -> Database:
    """A fresh database from what `make_template` made, with a key that is no secret."""
    shutil.copyfile(template, path)
    return Database(f"sqlite+aiosqlite:///{path}", personal=lambda: Box(bytes(32)))


def config_for(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(bundled_dir("alembic")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(year)d_%%(month).2d_%%(day).2d_%%(slug)s")
    return config


async def _migrate(database: Database, run: Any) -> str:
    def migrate(connection: Connection) -> str:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        run(config_for(connection))
        return MigrationContext.configure(connection).get_current_revision() or ""

    async with database.engine.execution_options(gatekeeper_writes=True).begin() as connection:
        return await connection.run_sync(migrate)


async def _revision(database: Database) -> str | None:
    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with database.engine.connect() as connection:
        return await connection.run_sync(read)


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(config_for()).get_current_head()


def _is_known(found: str) -> bool:
    return found in {script.revision for script in ScriptDirectory.from_config(config_for()).walk_revisions()}
