"""Inserting rows that may be there already, and asking for many by two columns at once, on SQLite and PostgreSQL."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Result, SQLColumnExpression, and_, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

Key = tuple[str, str]  # a repository's id, and that of something in it
_MOST_OWNERS, _MOST_KEYS = 100, 500  # of one condition: databases bound its depth and its parameters


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


def conditions(
    repo_id: SQLColumnExpression[str], other_id: SQLColumnExpression[str], keys: Iterable[Key]
) -> Iterator[ColumnElement[bool]]:
    """One condition, or a few for very many keys, which rows with one of `keys` in these two columns meet.

    Written as a list for each repository, since SQLite finds pairs of values by no index.
    """
    owned: dict[str, list[str]] = {}
    count = 0
    for owner, other in sorted(set(keys)):
        if count == _MOST_KEYS or (len(owned) == _MOST_OWNERS and owner not in owned):
            yield _any_of(repo_id, other_id, owned)
            owned, count = {}, 0
        owned.setdefault(owner, []).append(other)
        count += 1
    if owned:
        yield _any_of(repo_id, other_id, owned)


def _any_of(
    repo_id: SQLColumnExpression[str], other_id: SQLColumnExpression[str], owned: dict[str, list[str]]
) -> ColumnElement[bool]:
    return or_(*(and_(repo_id == owner, other_id.in_(others)) for owner, others in owned.items()))
