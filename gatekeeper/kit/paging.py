"""Pages of a long list: each names where the next one begins, so that rows added meanwhile shift nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows in order. `after` is the cursor of the following page, None on the last one."""

    items: tuple[T, ...]
    after: str | None


def beginning_at(
    is_over: sa.ColumnElement[bool], identity: sa.SQLColumnExpression[str], *, was_over: bool, id: str
) -> sa.ColumnElement[bool]:
    """Of a list in which what is over comes last, else the newest first: its rows from one of them on."""
    return sa.and_(is_over, identity <= id) if was_over else sa.or_(is_over, identity <= id)


def page_of(rows: Sequence[T], *, limit: int, key: Callable[[T], str]) -> Page[T]:
    """A page from up to `limit + 1` rows, of which the last one only tells that there are more.

    key  what the rows are ordered by, as text: the next page begins after it
    """
    items = tuple(rows[:limit])
    return Page(items, key(items[-1]) if len(rows) > limit else None)
