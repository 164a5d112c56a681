"""A bounded cache for things that never change, such as the trees of a repository."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps the most recently used values up to a total weight. Used from one event loop, so it takes no lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value under `key`, now the most recently used, or None."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep `value`; what was used longest ago goes when the total weight exceeds the limit."""
        if (old := self._values.pop(key, None)) is not None:
            self._weight -= old[1]
        if weight > self._limit:
            return
        self._values[key] = (value, weight)
        self._weight += weight
        while self._weight > self._limit:
            _, (_, dropped) = self._values.popitem(last=False)
            self._weight -= dropped

    def __len__(self) -> int:
        return len(self._values)
