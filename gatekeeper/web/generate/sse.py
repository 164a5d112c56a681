"""Server-sent events about orders."""

import asyncio
from collections.abc import AsyncIterator

from gatekeeper.generation import Update

HEADERS = {"Cache-Control": "private, no-store", "X-Accel-Buffering": "no"}
STILL_HERE = b": still here\n\n"  # keeps proxies from closing a quiet connection
_QUIET_SECONDS = 15.0


async def lively(updates: AsyncIterator[Update]) -> AsyncIterator[Update | None]:
    """The updates, with None in between where long nothing happens."""
    coming = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(updates))
            done, _ = await asyncio.wait({coming}, timeout=_QUIET_SECONDS)
            if not done:
                yield None
                continue
            update = coming.result()
            coming = None
            yield update
    except StopAsyncIteration:
        return
    finally:
        if coming is not None:
            coming.cancel()
