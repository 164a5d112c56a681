"""How many files are examined at once: anybody may ask what an image is, and each answer takes memory and time."""

import asyncio

from gatekeeper.errors import TooMany
from gatekeeper.provenance import Examination, Notary

_AT_ONCE = 2  # each takes up to a second and 200 MB
_MOST_WAITING = 20


class Examiners:
    """The places of one process."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def examine(self, notary: Notary, content: bytes) -> Examination:
        """What an untrusted file says about itself. Raises Invalid, TooLarge, TooMany."""
        if self._waiting >= _MOST_WAITING:
            raise TooMany(
                "Many files are being examined now.", next_step="Try again.", details={"retry_after_seconds": 10}
            )
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(notary.examine, content)
        finally:
            self._waiting -= 1
