"""The memory of the worker's device as an account: what models hold, and what is left for calls."""

import threading
from collections.abc import Callable, Collection

MODELS_SHARE = 0.8  # of all; the rest is for calls, however many models are wanted


class Room:
    """Bytes by model digest. Safe to use from any thread.

    total_bytes  what models and calls may take together
    reclaim      gives back to the device what a model held, after the last reference to it is gone
    """

    def __init__(self, total_bytes: int, *, reclaim: Callable[[], None] = lambda: None) -> None:
        self.total_bytes = total_bytes
        self._reclaim = reclaim
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def models_bytes(self) -> int:
        """What models hold, with what was promised to the one that is being loaded."""
        with self._lock:
            return sum(self._held.values())

    @property
    def spare_bytes(self) -> int:
        """What calls may take."""
        return max(self.total_bytes - self.models_bytes, 0)

    def fits(self, digest: str, size_bytes: int, *, without: Collection[str] = ()) -> bool:
        """Whether a model of this size may be held beside the others, `without` some of them."""
        with self._lock:
            others = sum(size for key, size in self._held.items() if key != digest and key not in without)
        return others + size_bytes <= self.total_bytes * MODELS_SHARE

    def hold(self, digest: str, size_bytes: int) -> None:
        """A model takes so much, from now on."""
        with self._lock:
            self._held[digest] = size_bytes

    def release(self, digest: str) -> None:
        """A model is gone."""
        with self._lock:
            self._held.pop(digest, None)
        self._reclaim()
