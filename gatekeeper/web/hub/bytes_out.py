"""A file's bytes on the wire: an answer prepared once, then sent to any HEAD or GET, whole or in part.

`Prepared` holds everything that a decision and a look-up cost. It is a value, so it may be kept and sent again for the
same caller and address as long as nothing that the decision read has changed; `send` itself asks nobody anything.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.types import Scope, Send

from gatekeeper.web.hub.ranges import Wanted, wanted

CHUNK = 2**20

# A read that the page cache can answer is done at once; one that would wait for the disk goes to a thread.
_NOWAIT = getattr(os, "RWF_NOWAIT", None)

RawHeaders = tuple[tuple[bytes, bytes], ...]
Keep = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One file as one caller may have it.

    headers      everything but the length and range: raw, lower-case names
    etag         with its quotes
    path         of the stored object, or None when `content` holds the bytes
    evidence     fields of the download's ledger event, without the range
    valid_until  when the decision must be made again even if nothing has changed; None: never by time alone
    """

    headers: RawHeaders
    size: int
    etag: bytes
    path: str | None
    content: bytes | None
    evidence: Mapping[str, Any]
    valid_until: datetime | None


async def send(prepared: Prepared, scope: Scope, send: Send, *, keep: Keep, extra: RawHeaders = ()) -> None:
    """Answer this HEAD or GET.

    keep   called with the event's fields before the first byte of content leaves; never for HEAD, 304, 412 or 416
    extra  headers of this answer alone, such as the request id
    """
    what = wanted(scope["headers"], method=scope["method"], etag=prepared.etag, size=prepared.size)
    has_body = what.status in (200, 206) and scope["method"] == "GET"
    file = None
    if has_body:
        # Opened before the answer begins: a file that is missing is an error the client can read, not a broken stream.
        file = None if prepared.path is None else os.open(prepared.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if has_body:
            await keep(_with_span(prepared, what))
        await send(
            {
                "type": "http.response.start",
                "status": what.status,
                "headers": [*prepared.headers, *_span_headers(prepared, what), *extra],
            }
        )
        if not has_body:
            await send({"type": "http.response.body", "body": b""})
        elif file is None:
            content = prepared.content or b""
            await send({"type": "http.response.body", "body": content[what.start : what.end]})
        else:
            await send_span(file, what.start, what.end, send)
    finally:
        if file is not None:
            os.close(file)


def _span_headers(prepared: Prepared, what: Wanted) -> RawHeaders:
    match what.status:
        case 206:
            span = b"bytes %d-%d/%d" % (what.start, what.end - 1, prepared.size)
            return ((b"content-range", span), (b"content-length", b"%d" % (what.end - what.start)))
        case 416:
            return ((b"content-range", b"bytes */%d" % prepared.size), (b"content-length", b"0"))
        case 304:
            return ()
        case 412:
            return ((b"content-length", b"0"),)
    return ((b"content-length", b"%d" % prepared.size),)


def _with_span(prepared: Prepared, what: Wanted) -> Mapping[str, Any]:
    if what.status == 200:
        return prepared.evidence
    body = {**prepared.evidence.get("body", {}), "first_byte": what.start, "last_byte": what.end - 1}
    return {**prepared.evidence, "body": body}


async def send_span(file: int, start: int, end: int, send: Send, *, is_last: bool = True) -> None:
    """Send the bytes of an open file from `start` up to, not including, `end`, as a part of an answer's body."""
    position = start
    while position < end:
        size = min(CHUNK, end - position)
        data = _read_cached(file, size, position)
        if not data:
            data = await asyncio.to_thread(os.pread, file, size, position)
        if not data:
            # Fewer bytes than announced: the connection must break, or the client would take a part for the whole.
            raise OSError(f"a stored object ends at {position} bytes, {end} were announced")
        position += len(data)
        await send({"type": "http.response.body", "body": data, "more_body": position < end or not is_last})


def _read_cached(file: int, size: int, position: int) -> bytes:
    """The bytes, if the first and the last are in memory already; else nothing.

    Probing two bytes without waiting and then reading plainly is ten times faster than one big read without waiting,
    which needs a buffer of its own. A chunk whose middle was evicted waits for the disk, which is rare and harmless.
    """
    if _NOWAIT is None:
        return b""
    probe = bytearray(1)
    try:
        os.preadv(file, [probe], position, _NOWAIT)
        os.preadv(file, [probe], position + size - 1, _NOWAIT)
    except OSError:  # would wait, or a file system that cannot say
        return b""
    return os.pread(file, size, position)
