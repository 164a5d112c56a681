"""Deleting rows with everything that hangs on them, as the foreign keys have it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel


async def remove(session: AsyncSession, parent: sa.Table, where: sa.ColumnElement[bool]) -> int:
    """Delete the rows of a table that fit; returns how many.

    Rows that need one of them go first, in the same manner; references that may be empty are emptied.
    """
    for column in references(parent.name):
        key = next(key for key in column.foreign_keys if key.column.table is parent)
        refers = column.in_(sa.select(key.column).where(where).correlate(None))
        if column.nullable:
            await session.execute(sa.update(column.table).where(refers).values({column.name: None}))
        elif column.table is not parent:
            await remove(session, column.table, refers)
    result: Any = await session.execute(sa.delete(parent).where(where))
    return int(result.rowcount)


def references(target: str) -> list[sa.Column[Any]]:
    """Every column of the house that refers to a table."""
    return [
        column
        for table in SQLModel.metadata.sorted_tables
        for column in table.columns
        if any(key.column.table.name == target for key in column.foreign_keys)
    ]
