"""Reading untrusted content in bounded pieces: from the store by ranges, from archives as they unpack."""

import bz2
import io
import lzma
import time
import zlib
from collections.abc import Callable
from typing import Any

HEAD_BYTES = 64 * 2**10
MOST_AT_ONCE = 32 * 2**20
_UNPACK_MEMORY = 128 * 2**20
_RATIO = 200
_RATIO_FROM = 32 * 2**20  # small things may shrink as much as they like

Fetch = Callable[[int, int], bytes]


class ExhaustedError(Exception):
    """A scan came to one of its limits; the text says which, for people."""


class BombError(Exception):
    """Content that unpacks to absurdly more than it is."""


class Budget:
    """What a scan of one content may cost: seconds, and bytes read or unpacked."""

    def __init__(self, *, seconds: float, total_bytes: int) -> None:
        self._ends = time.monotonic() + seconds
        self._left = total_bytes

    def spend(self, count: int = 0) -> None:
        """Take `count` bytes off. Raises ExhaustedError."""
        self._left -= count
        if self._left < 0:
            raise ExhaustedError("it holds more than is looked through")
        if time.monotonic() > self._ends:
            raise ExhaustedError("looking through it takes too long")


class Reader(io.BufferedReader):
    """A buffered file that never gives more than MOST_AT_ONCE bytes for one call, whatever a header claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes. Raises ExhaustedError for a larger piece than is ever needed."""
        if size is not None and 0 <= size <= MOST_AT_ONCE:
            return super().read(size)
        data = super().read(MOST_AT_ONCE + 1)
        if len(data) > MOST_AT_ONCE:
            raise ExhaustedError("one of its parts is too large to look into")
        return data

    def skip(self, count: int) -> None:
        """Go over `count` bytes without keeping them."""
        if self.seekable():
            self.seek(count, io.SEEK_CUR)
            return
        while count > 0 and (piece := super().read(min(count, HEAD_BYTES))):
            count -= len(piece)

    def drain(self, most: int) -> None:
        """Read on for `most` bytes at most, for what reading itself shows: a bomb, a broken end."""
        while most > 0 and (piece := super().read(HEAD_BYTES)):
            most -= len(piece)


class _Ranges(io.RawIOBase):
    def __init__(self, fetch: Fetch, size: int, budget: Budget) -> None:
        self._fetch, self._size, self._budget, self._at = fetch, size, budget, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("before the start")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        data = self._fetch(self._at, end)
        self._budget.spend(len(data))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Forward(io.RawIOBase):
    """Content that can only be read forwards, such as an archive's entry; what it gives is counted."""

    def __init__(self, inner: Any, budget: Budget, *, packed_bytes: Callable[[], int]) -> None:
        self._inner, self._budget, self._packed_bytes, self._given = inner, budget, packed_bytes, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        filled = 0
        while filled < len(buffer) and (piece := self._inner.read(len(buffer) - filled)):
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._given += filled
        if self._given > _RATIO_FROM and self._given > _RATIO * max(self._packed_bytes(), 1):
            raise BombError
        self._budget.spend(filled)
        return filled


class _Unpacking:
    """The bytes behind a compressed stream, unpacked as they are asked for, whatever they claim to be."""

    def __init__(self, packed: Any, make: Callable[[], Any]) -> None:
        self._packed, self._make, self._engine = packed, make, make()
        self._waiting = b""
        self.taken = 0

    def read(self, size: int) -> bytes:
        while True:
            if not self._waiting:
                self._waiting = self._packed.read(HEAD_BYTES)
                self.taken += len(self._waiting)
            if not self._waiting:
                return b""
            if self._engine.eof:  # members that follow each other, as gzip has them
                self._engine = self._make()
            given, self._waiting = self._step(size)
            if given:
                return given

    def _step(self, size: int) -> tuple[bytes, bytes]:
        engine = self._engine
        if isinstance(engine, (bz2.BZ2Decompressor, lzma.LZMADecompressor)):
            # These two keep what they did not use themselves, until they ask for more.
            given = engine.decompress(self._waiting if engine.needs_input else b"", size)
            if engine.eof:
                return given, engine.unused_data
            return given, b"" if engine.needs_input else b"\0"
        given = engine.decompress(self._waiting, size)
        return given, engine.unused_data if engine.eof else engine.unconsumed_tail


_ENGINES: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 32),
    "zlib": lambda: zlib.decompressobj(zlib.MAX_WBITS | 32),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=_UNPACK_MEMORY),
}
COMPRESSIONS = frozenset(_ENGINES)
UNPACK_ERRORS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


def ranged(fetch: Fetch, size: int, budget: Budget) -> Reader:
    """A file of `size` bytes that can be read anywhere; `fetch(start, end)` gives its bytes."""
    return Reader(_Ranges(fetch, size, budget), HEAD_BYTES)


def held(content: bytes, budget: Budget) -> Reader:
    """Content that is in memory already."""
    return ranged(lambda start, end: content[start:end], len(content), budget)


def entry(opened: Any, budget: Budget, *, packed_bytes: int) -> Reader:
    """An archive's entry, opened for reading. Raises BombError as it is read, if it is one."""
    return Reader(_Forward(opened, budget, packed_bytes=lambda: packed_bytes), HEAD_BYTES)


def unpacked(packed: Reader, compression: str, budget: Budget) -> Reader:
    """What a compressed stream unpacks to. Raises BombError as it is read, and UNPACK_ERRORS."""
    stream = _Unpacking(packed, _ENGINES[compression])
    return Reader(_Forward(stream, budget, packed_bytes=lambda: stream.taken), HEAD_BYTES)
