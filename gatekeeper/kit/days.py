"""The last days, and what happened on each of them (UTC)."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession


def last_days(at: datetime, count: int) -> list[date]:
    """`count` days in order, today last."""
    today = at.astimezone(UTC).date()
    return [today - timedelta(days=back) for back in range(count - 1, -1, -1)]


def by_day(days: list[date], counted: Iterable[tuple[date, int]]) -> list[tuple[str, int]]:
    """Every day in words with its number, 0 where nothing was counted."""
    found = dict(counted)
    return [(day.isoformat(), found.get(day, 0)) for day in days]


async def count_by_day(
    session: AsyncSession,
    instant: sa.SQLColumnExpression[Any],
    *where: sa.ColumnElement[bool],
    of: sa.ColumnElement[int] | None = None,
) -> list[tuple[date, int]]:
    """How many rows fall on each day, or their sum `of`. The database's own zone must be UTC, as everywhere here."""
    year, month, day = (sa.extract(part, instant) for part in ("year", "month", "day"))
    total = sa.func.count() if of is None else of
    rows = await session.execute(sa.select(year, month, day, total).where(*where).group_by(year, month, day))
    return [(date(int(row[0]), int(row[1]), int(row[2])), int(row[3])) for row in rows]
