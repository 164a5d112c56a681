"""Inserting rows that may be there already, on SQLite and PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel


async def insert_missing(s: AsyncSession, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Add `rows`, leaving those whose key exists as they are; safe against another writer doing the same."""
    if not rows:
        return
    dialect = s.get_bind().dialect.name
    target = table.__table__  # type: ignore[attr-defined]  # SQLModel sets it on table models
    insert = postgresql.insert(target) if dialect == "postgresql" else sqlite.insert(target)
    await s.execute(insert.on_conflict_do_nothing(), list(rows))
