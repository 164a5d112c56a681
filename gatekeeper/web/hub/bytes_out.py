"""A file's bytes on the wire: an answer prepared once, then sent to any HEAD or GET, whole or in part.

`Prepared` holds everything that a decision and a look-up cost. It is a value, so it may be kept and sent again for the
same caller and address as long as nothing that the decision read has changed; `send` itself asks nobody anything.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.types import Scope, Send

from gatekeeper.repos.storage import Key, Store
from gatekeeper.web.hub.ranges import Wanted, wanted

CHUNK = 2**20

# A read that the page cache can answer is done at once; one that would wait for the disk goes to a thread.
_NOWAIT = getattr(os, "RWF_NOWAIT", None)

# What a client reads from the answer that sends it on; the rest describes bytes that are not in it.
_KEPT_ON_THE_WAY = frozenset({b"x-repo-commit", b"x-linked-etag", b"x-linked-size", b"x-hf-warning", b"vary"})

RawHeaders = tuple[tuple[bytes, bytes], ...]
Keep = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Away:
    """A stored object that does not lie on this machine's disk."""

    store: Store
    key: Key


@dataclass(frozen=True, slots=True)
class Prepared:
    """One file as one caller may have it.

    headers      everything but the length and range: raw, lower-case names
    etag         with its quotes
    path         of the stored object; None when `content` holds the bytes, or they are read from `away`, or only the
                 headers were asked for
    evidence     fields of the download's ledger event, without the range
    valid_until  when the decision must be made again even if nothing has changed; None: never by time alone
    inside       where the proxy before us has `path`, if it is to send the bytes
    """

    headers: RawHeaders
    size: int
    etag: bytes
    path: str | None
    content: bytes | None
    evidence: Mapping[str, Any]
    valid_until: datetime | None
    away: Away | None = None
    inside: bytes | None = None

    @property
    def has_bytes(self) -> bool:
        """Whether it answers a GET, too."""
        return self.path is not None or self.content is not None or self.away is not None


async def send(prepared: Prepared, scope: Scope, send: Send, *, keep: Keep, extra: RawHeaders = ()) -> None:
    """Answer this HEAD or GET.

    keep   called with the event's fields before the first byte of content leaves; never for HEAD, 304, 412 or 416
    extra  headers of this answer alone, such as the request id
    """
    what = wanted(scope["headers"], method=scope["method"], etag=prepared.etag, size=prepared.size)
    has_body = what.status in (200, 206) and scope["method"] == "GET"
    if has_body and prepared.away is not None:
        await _send_from_away(prepared, prepared.away, what, scope, send, keep=keep, extra=extra)
        return
    if has_body and prepared.inside is not None and _proxy_agrees(scope, what):
        await _send_by_proxy(prepared, prepared.inside, what, send, keep=keep, extra=extra)
        return
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


async def _send_from_away(
    prepared: Prepared, away: Away, what: Wanted, scope: Scope, send: Send, *, keep: Keep, extra: RawHeaders
) -> None:
    """Send the client on to where the bytes lie, with its own Range header, or fetch them for it."""
    address = await away.store.address(away.key) if _goes_elsewhere(scope) else None
    if address is not None:
        await keep(_with_span(prepared, what))
        kept = [(name, value) for name, value in prepared.headers if name in _KEPT_ON_THE_WAY]
        own = [(b"location", address.encode()), (b"cache-control", b"no-store"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": [*kept, *own, *extra]})
        await send({"type": "http.response.body", "body": b""})
        return
    pieces = away.store.read(away.key, what.start, what.end)
    # Fetched before the answer begins: an object that is missing is an error the client can read.
    first = await anext(pieces, b"")
    await keep(_with_span(prepared, what))
    headers = [*prepared.headers, *_span_headers(prepared, what), *extra]
    await send({"type": "http.response.start", "status": what.status, "headers": headers})
    await send_pieces(first, pieces, what.end - what.start, send)


async def _send_by_proxy(
    prepared: Prepared, inside: bytes, what: Wanted, send: Send, *, keep: Keep, extra: RawHeaders
) -> None:
    """Tell nginx which file to send. It applies the client's Range itself and gives these headers on: docs/nginx.md."""
    _require_whole(prepared)
    await keep(_with_span(prepared, what))
    headers = [pair for pair in prepared.headers if pair[0] != b"accept-ranges"]  # nginx says so itself
    own = [(b"x-accel-redirect", inside), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, *own, *extra]})
    await send({"type": "http.response.body", "body": b""})


def _require_whole(prepared: Prepared) -> None:
    """A file that is missing or cut off is an error the client can read, not another program's answer."""
    if Path(prepared.path or "").stat().st_size != prepared.size:
        raise OSError(f"a stored object does not have its {prepared.size} bytes")


def _proxy_agrees(scope: Scope, what: Wanted) -> bool:
    """Whether nginx would send just what `what` says, so that the evidence tells what left.

    It compares times, and checks If-Match before it knows our ETag; it answers several ranges, and none that it can
    read, in its own way.
    """
    names = {name for name, _ in scope["headers"]}
    if names & {b"if-match", b"if-modified-since", b"if-unmodified-since"}:
        return False
    return what.status == 206 or b"range" not in names


def _goes_elsewhere(scope: Scope) -> bool:
    """Whether this client gets the same bytes at another address.

    Not browsers: the name of the file would be lost there, and our pages show nothing from other hosts. Not those who
    ask for a condition on the ETag, which is another one there.
    """
    names = {name for name, _ in scope["headers"]}
    return not names & {b"sec-fetch-mode", b"if-match", b"if-range"}


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


async def send_pieces(
    first: bytes, rest: AsyncIterator[bytes], length: int, send: Send, *, is_last: bool = True
) -> None:
    """Send `length` bytes that arrive in pieces, as a part of an answer's body."""
    await send({"type": "http.response.body", "body": first, "more_body": True})
    sent = len(first)
    async for piece in rest:
        sent += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    if sent < length:
        # The connection must break, or the client would take a part for the whole.
        raise OSError(f"a stored object gave {sent} bytes, {length} were announced")
    if is_last:
        await send({"type": "http.response.body", "body": b""})


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
