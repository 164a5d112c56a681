"""Who is at the worker: orders beside each other, and alone the one under which it died before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """First come, first served: who is to be alone waits for those who are there, and who comes later waits for it.

    So an order that kills the worker again takes nobody with it, and whoever only stood beside it is made.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()  # it is given in the order in which it is asked for
        self._beside = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @contextlib.asynccontextmanager
    async def take(self, *, alone: bool) -> AsyncIterator[None]:
        """Be at the worker, after waiting for one's turn."""
        async with self._turn:
            if alone:
                await self._is_empty.wait()
                yield
                return
            self._beside += 1
            self._is_empty.clear()
        try:
            yield
        finally:
            self._beside -= 1
            if not self._beside:
                self._is_empty.set()
