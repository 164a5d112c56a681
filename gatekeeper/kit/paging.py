"""Pages of a long list: each names where the next one begins, so that rows added meanwhile shift nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows in order. `after` is the cursor of the following page, None on the last one."""

    items: tuple[T, ...]
    after: str | None


def page_of(rows: Sequence[T], *, limit: int, key: Callable[[T], str]) -> Page[T]:
    """A page from up to `limit + 1` rows, of which the last one only tells that there are more.

    key  what the rows are ordered by, as text: the next page begins after it
    """
    items = tuple(rows[:limit])
    return Page(items, key(items[-1]) if len(rows) > limit else None)
