"""The unit of work: one transaction per request, read or write, on SQLite or PostgreSQL.

SQLite needs care to behave: its driver opens transactions late and as readers, so two writers that both read first
deadlock. Every write transaction therefore begins IMMEDIATE (one writer at a time, others wait up to `_BUSY_SECONDS`),
and every connection runs WAL with synchronous=FULL, so a commit that was answered survives a power cut.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.engine.url import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlmodel import SQLModel

from gatekeeper.kit import one_trip
from gatekeeper.kit.personal import open_with
from gatekeeper.kit.sealing import Box

_BUSY_SECONDS = 30

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
SQLModel.metadata.naming_convention = NAMING

AfterCommit = Callable[[], Awaitable[None] | None]


class Database:
    """Engine, transactions and the version that tells whether anything a decision reads has changed."""

    def __init__(self, url: str, *, personal: Callable[[], Box] | None = None) -> None:
        """personal  the server's key for what people wrote; without it such columns can be neither read nor written"""
        self.url = url
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.path = parsed.database if self.is_sqlite else None
        # The text of a database error never repeats what a person sent.
        options: dict[str, Any] = {"hide_parameters": True}
        if not self.is_sqlite:
            options |= {"pool_size": 10, "max_overflow": 10}
        self.engine: AsyncEngine = create_async_engine(url, **options)
        if personal is not None:
            open_with(self.engine.dialect, personal)
        self._writers = self.engine.execution_options(gatekeeper_writes=True)
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "do_connect", one_trip.connect)
            event.listen(self.engine.sync_engine, "connect", _tame_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session on one consistent snapshot. Nothing it changes is kept."""
        async with AsyncSession(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session that commits on leaving or rolls back on any exception; then runs what `after_commit` was given."""
        async with AsyncSession(self._writers, expire_on_commit=False) as session:
            async with session.begin():
                yield session
            for call in session.info.pop("after_commit", []):
                result = call()
                if asyncio.iscoroutine(result):
                    await result

    async def purge(self) -> None:
        """Bring every change into the database's own file and empty its log, so that what was deleted is in neither.

        For SQLite; PostgreSQL overwrites what is dead when it vacuums. While others read, the log stays till next time.
        """
        if self.path:
            await asyncio.to_thread(_purge, self.path)

    async def close(self) -> None:
        """Give every connection back."""
        await self.engine.dispose()


def after_commit(session: AsyncSession, call: AfterCommit) -> None:
    """Run `call` once the session's transaction is durable, never if it fails."""
    session.info.setdefault("after_commit", []).append(call)


def connect_sqlite(path: str) -> sqlite3.Connection:
    """A plain connection with the same promises as the engine's, for the hot path and the evidence writer."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    _pragmas(connection)
    return connection


def _purge(path: str) -> None:
    connection = connect_sqlite(path)
    try:
        connection.execute("PRAGMA busy_timeout=2000")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _tame_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None
    _pragmas(dbapi_connection)


def _pragmas(connection: Any) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_SECONDS * 1000}",
        "secure_delete=ON",  # what is deleted is overwritten: people are erased for good
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("gatekeeper_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def is_locked(error: BaseException) -> bool:
    """Whether a database error means "busy, try again" rather than a fault."""
    return isinstance(error, sa.exc.OperationalError) and "locked" in str(error).lower()
