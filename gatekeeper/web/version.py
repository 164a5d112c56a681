"""Whether anything that a decision reads has changed: what makes caches safe without a time limit."""

import sqlite3
import time
from typing import Protocol

import psycopg
from sqlalchemy.engine.url import make_url

from gatekeeper.db import Database, connect_sqlite

_REST_SECONDS = 5.0


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


class PostgresVersion:
    """Reads `access_revision` over a connection of its own, each time: a millisecond's part on a near server.

    The counter is raised in the transaction of the change, so who can see the change sees the new number. It is read
    in the calling thread; what takes longer than a second, or fails, is "cannot tell", and for some seconds after that
    nobody waits for it again.
    """

    def __init__(self, url: str) -> None:
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: psycopg.Connection[tuple[int]] | None = None
        self._rests_until = 0.0

    def current(self) -> int | None:
        if self._connection is None and time.monotonic() < self._rests_until:
            return None
        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    self._conninfo,
                    autocommit=True,
                    connect_timeout=2,
                    options="-c statement_timeout=1000",
                    tcp_user_timeout=2000,
                    application_name="gatekeeper-version",
                )
            row = self._connection.execute("SELECT value FROM access_revision").fetchone()
        except psycopg.Error:
            self.close()
            self._rests_until = time.monotonic() + _REST_SECONDS
            return None
        return row[0] if row else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def access_version(database: Database) -> AccessVersion:
    """The version source that fits the database."""
    if database.is_sqlite:
        return SqliteVersion(database.path or "")
    return PostgresVersion(database.url)
