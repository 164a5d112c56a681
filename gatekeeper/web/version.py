"""Whether anything that a decision reads has changed: what makes caches safe without a time limit."""

import sqlite3
from typing import Protocol

from gatekeeper.db import Database, connect_sqlite


class AccessVersion(Protocol):
    """`current()` returns a number that differs after every change to people, tokens, terms, grants, releases or refs.

    None means "cannot tell", and then nothing may be answered from a cache.
    """

    def current(self) -> int | None: ...

    def close(self) -> None: ...


class SqliteVersion:
    """Reads `access_revision`, but only after `PRAGMA data_version` says that some connection has committed.

    The pragma costs about two microseconds; the row is raised by triggers on every table a decision reads, in the same
    transaction as the change, so the next request of any process on this host sees it.
    """

    def __init__(self, path: str) -> None:
        self._connection: sqlite3.Connection = connect_sqlite(path)
        self._cursor = self._connection.cursor()
        self._data_version = -1
        self._revision = -1

    def current(self) -> int | None:
        (data_version,) = self._cursor.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version:
            (self._revision,) = self._cursor.execute("SELECT value FROM access_revision").fetchone()
            self._data_version = data_version
        return self._revision

    def close(self) -> None:
        self._connection.close()


class UnknownVersion:
    """For databases without a cheap version: every request is decided afresh."""

    def current(self) -> int | None:
        return None

    def close(self) -> None:
        return None


def access_version(database: Database) -> AccessVersion:
    """The version source that fits the database."""
    return SqliteVersion(database.path) if database.is_sqlite and database.path else UnknownVersion()
