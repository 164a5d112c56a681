"""Inserting rows that may be there already, on SQLite and PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CursorResult, Result
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel


async def insert_missing(s: AsyncSession, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> int:
    """Add `rows`, leaving those whose key exists as they are; safe against another writer doing the same.

    Returns how many were added where there is one row; of several it cannot be told on every driver.
    """
    if not rows:
        return 0
    dialect = s.get_bind().dialect.name
    target = table.__table__  # type: ignore[attr-defined]  # SQLModel sets it on table models
    insert = postgresql.insert(target) if dialect == "postgresql" else sqlite.insert(target)
    if len(rows) == 1:  # a single statement: only then do drivers count, and PostgreSQL's only when asked to
        one = insert.values(rows[0]).on_conflict_do_nothing()
        return affected(await s.execute(one, execution_options={"preserve_rowcount": True}))
    await s.execute(insert.on_conflict_do_nothing(), list(rows))
    return len(rows)


def affected(result: Result[Any]) -> int:
    """How many rows an insertion, a change or a deletion touched."""
    assert isinstance(result, CursorResult)
    return result.rowcount
