"""Taking a request's body to disk first, so that a slow or huge sender costs neither memory nor a lock."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from starlette.requests import ClientDisconnect, Request

from gatekeeper.errors import Invalid, TooLarge

_IN_MEMORY = 2**20
_BATCH = 2**20


@asynccontextmanager
async def spooled(request: Request, *, directory: Path, limit: int) -> AsyncIterator[IO[bytes]]:
    """The whole body as a file at its start, gone when the context is left.

    Raises TooLarge beyond `limit` bytes, and Invalid when the sender went away in the middle.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and len(announced) < 19 and int(announced) > limit:
        raise _too_large(limit)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(directory)) as file:
        waiting: list[bytes] = []
        size = held = 0
        async for piece in pieces(request):
            size += len(piece)
            held += len(piece)
            if size > limit:
                raise _too_large(limit)
            waiting.append(piece)
            if held >= _BATCH:
                await asyncio.to_thread(file.writelines, waiting)
                waiting, held = [], 0
        await asyncio.to_thread(file.writelines, waiting)
        file.seek(0)
        yield file


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises Invalid when the sender went away before its end."""
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise Invalid(
            "The upload was cut off before its end, so nothing was stored.", next_step="Send it again."
        ) from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than {limit:,} bytes.",
        next_step="Send large files through LFS or Xet, and split a large commit in several.",
    )
