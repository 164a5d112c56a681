"""SQLite statements in one change of threads each.

SQLite blocks, so aiosqlite runs it in a thread, and each call of its interface goes there and comes back. SQLAlchemy's
adapter makes four such trips for one statement: open a cursor, execute, fetch, close. For the small statements of a
request the trips take far longer than SQLite; here all four are made in one.

Compatibility: this overrides inner parts of SQLAlchemy 2.1 and aiosqlite 0.22, so both are held to these versions.
"""

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.util import EMPTY_DICT
from sqlalchemy.util.concurrency import await_

Parameters = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Done:
    """What is left of a cursor when its rows were fetched and it was closed."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that exists in the thread only while its statement runs."""

    __slots__ = ()
    _awaitable_cursor_close = False

    def __init__(self, adapt_connection: AsyncAdapt_aiosqlite_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._cursor: Any = _Done()
        self._soft_closed_memoized = EMPTY_DICT
        self._rows = deque()

    def close(self) -> None:
        self._rows.clear()

    async def _execute_async(self, operation: str, parameters: Parameters | None) -> None:
        await self._trip(sqlite3.Cursor.execute, operation, parameters or ())

    async def _executemany_async(self, operation: str, seq_of_parameters: Sequence[Parameters]) -> None:
        await self._trip(sqlite3.Cursor.executemany, operation, seq_of_parameters)

    async def _trip(self, execute: Any, *words: Any) -> None:
        connection: Any = self._connection
        async with self._adapt_connection._execute_mutex:
            self._cursor, rows = await connection._execute(_run, connection, execute, words)
        self._rows = deque(rows)


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls: Any = _Cursor


def connect(dialect: Dialect, _record: Any, words: list[Any], options: dict[str, Any]) -> _Connection:
    """Opens connections of this kind: for SQLAlchemy's event `do_connect`."""
    dbapi: Any = dialect.dbapi
    opened = dbapi.aiosqlite.connect(*words, **options)
    opened._thread.daemon = True  # as the dialect does it
    return _Connection(dbapi, await_(opened))


def _run(connection: Any, execute: Any, words: Sequence[Any]) -> tuple[_Done, list[Any]]:
    """In the connection's thread."""
    cursor = connection._conn.cursor()
    try:
        execute(cursor, *words)
        rows = cursor.fetchall() if cursor.description else []
        return _Done(cursor.description, cursor.rowcount, cursor.lastrowid), rows
    finally:
        cursor.close()
