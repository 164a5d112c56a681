"""What every command shares: settings, one unit of work, output for people or machines, errors as sentences."""

import asyncio
import errno
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from pydantic import ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, ledger, schema
from gatekeeper.accounts import breached
from gatekeeper.authz import bundle
from gatekeeper.db import Database
from gatekeeper.errors import GatekeeperError, Invalid
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.repos.storage import Store, open_store
from gatekeeper.settings import Settings
from gatekeeper.web.state import Keys

P = ParamSpec("P")
T = TypeVar("T")
_PREFIX = "GATEKEEPER_"
_NO_SETTINGS = ("UPSTREAM_TOKEN", "TEST_")  # read where they are used
# What the machine says no to, rather than what a mistake of ours runs into.
_OUTSIDE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EEXIST, errno.ENOTDIR, errno.EIO}


class Failure(click.ClickException):
    """A refusal: printed on stderr, exit status 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"gatekeeper: {self.message}", err=True, file=file)


class Tree(click.Group):
    """The commands. What the machine or the database refuses them is told in a sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GatekeeperError as error:
            raise Failure(error.sentence) from error
        except (DatabaseError, sqlite3.DatabaseError) as error:
            said = error.orig if isinstance(error, DatabaseError) else error
            if not isinstance(error, OperationalError) and type(said) is not sqlite3.DatabaseError:
                raise  # a statement of ours
            reason = str(said).partition("\n")[0]
            raise Failure(
                f"The database cannot be used: {reason}. Look at GATEKEEPER_DATA_DIR, or GATEKEEPER_DATABASE_URL, "
                "and at the disk; docs/backup.md tells how to come back from a backup."
            ) from error
        except OSError as error:
            if error.errno not in _OUTSIDE:
                raise
            raise Failure(
                f"{error.filename or self.name}: {error.strerror}. Look at its owner and at the disk, or set "
                "GATEKEEPER_DATA_DIR to another directory."
            ) from error


class House:
    """Settings and the parts that commands need, opened on demand."""

    def __init__(self) -> None:
        _no_strange_settings()
        try:
            self.settings = Settings()
        except ValidationError as error:
            problems = "; ".join(
                f"GATEKEEPER_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
            )
            raise Failure(problems) from None
        try:
            breached.use(self.settings.breached_passwords_file)
        except Invalid as error:
            raise Failure(error.sentence) from None
        self._active_folder: Path | None = None

    @cached_property
    def db(self) -> Database:
        """The database; its directory is made on first use, not by commands that need none."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Database(self.settings.database, personal=lambda: self.keys.sealing)

    @property
    def keys(self) -> Keys:
        return Keys.load(self.settings.keys_dir)

    @property
    def store(self) -> Store:
        return open_store(self.settings)

    @property
    def policies_dir(self) -> Path:
        """The folder of the policies in force; before the database was opened, the one in the settings."""
        return self._active_folder or self.settings.policies_dir or bundled_dir("policies")

    @property
    def policies(self) -> authz.Policies:
        return authz.Policies.load(self.policies_dir)

    async def require_current(self) -> None:
        """Refuse to work on a database that was not migrated, or where one is still to be brought back."""
        if self._is_half_restored():
            raise Failure("Bringing back a backup did not come to its end. Run `gatekeeper db restore` again.")
        await schema.require_current(self.db)

    def _is_half_restored(self) -> bool:
        return self.db.path is not None and Path(f"{self.db.path}.restoring").exists()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One write transaction on a migrated database."""
        await self.require_current()
        async with self.db.write() as session:
            self._active_folder = await authz.active_folder(session, self.settings.policies_shelf)
            ledger.tell(policy=bundle.digest(bundle.read(self.policies_dir)))
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One snapshot of a migrated database."""
        await self.require_current()
        async with self.db.read() as session:
            self._active_folder = await authz.active_folder(session, self.settings.policies_shelf)
            yield session


def command(function: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """Run an async command; turn refusals into one sentence on stderr and exit status 1."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        async def whole() -> T:
            try:
                with ledger.working("command"):
                    return await function(*args, **kwargs)
            finally:
                house = kwargs.get("house") or next((a for a in args if isinstance(a, House)), None)
                if isinstance(house, House) and "db" in vars(house):
                    await house.db.close()

        try:
            return asyncio.run(whole())
        except GatekeeperError as error:
            raise Failure(error.sentence) from error

    return run


def _no_strange_settings() -> None:
    """Refuse what looks like a setting and is none: whoever misspelled one would run without it and not know."""
    known = {name.upper() for name in Settings.model_fields}
    for name in (*EnvSettingsSource(Settings).env_vars, *DotEnvSettingsSource(Settings).env_vars):
        word = name.upper().removeprefix(_PREFIX)
        if word != name.upper() and word not in known and not word.startswith(_NO_SETTINGS):
            near = get_close_matches(word, known, n=1)
            hint = f"Did you mean {_PREFIX}{near[0]}?" if near else "docs/settings.md lists them."
            raise Failure(f"{_PREFIX}{word} is not a setting. {hint}")


def show(value: Mapping[str, Any] | list[Any], text: str, *, as_json: bool) -> None:
    """Print `text` for a person, or `value` for a machine."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str) if as_json else text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
pass_house = click.make_pass_decorator(House, ensure=True)
