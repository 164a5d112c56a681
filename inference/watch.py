"""How far a load is, told from the loading thread to the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any

from inference.contract import LoadPhase


class LoadWatch:
    """Hears how far a load is, from the loading thread. This one lets it pass."""

    def expect(self, total_bytes: int) -> None:
        """So many bytes are going to be verified."""

    def verified(self, count: int) -> None:
        """So many more bytes have been verified."""

    def hold(self, most_bytes: int) -> None:
        """The model is going to take so much of the device's memory, at its fullest. Returns when there is room for
        it; raises NoRoom.
        """

    def building(self, what: str = "") -> None:
        """All files are verified; the parts are built, and this is what is done with them now."""


class StateWatch(LoadWatch):
    """Turns what the loading thread says into changes of the model's state, on the event loop.

    make_room  returns when there is room; raises NoRoom
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        change: Callable[[dict[str, Any]], None],
        make_room: Callable[[int], None],
    ) -> None:
        self._loop = loop
        self._change = change
        self._make_room = make_room
        self._verified = 0

    def expect(self, total_bytes: int) -> None:
        self._tell({"bytes_total": total_bytes})

    def verified(self, count: int) -> None:
        self._verified += count
        self._tell({"bytes_verified": self._verified})

    def hold(self, most_bytes: int) -> None:
        self._make_room(most_bytes)

    def building(self, what: str = "") -> None:
        self._tell({"phase": LoadPhase.LOADING, "message": what or None})

    def _tell(self, change: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._change, change)
