"""Xorbs: runs of compressed chunks. Verified while they arrive, decoded when a file is rebuilt.

A chunk is an 8-byte header (version 0, stored length in 3 bytes, scheme, raw length in 3 bytes, little-endian) and its
data; a footer that some clients append is recognized and not kept.
Source: the public Xet specification, xorb format.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import lz4.frame
import numpy as np

from gatekeeper.errors import Invalid
from gatekeeper.repos.xet.hashes import chunk_hash, parse_printed, xorb_hash

MAX_RAW_BYTES = 64 * 2**20
MAX_CHUNKS = 8_192
MAX_CHUNK_BYTES = 128 * 2**10
HEADER_BYTES = 8
MAX_BODY_BYTES = MAX_RAW_BYTES + MAX_CHUNKS * HEADER_BYTES + 2**20  # and room for a footer
_FOOTER_MARK = b"XETBLOB"
_MAX_STORED_BYTES = MAX_CHUNK_BYTES + 2**10  # a chunk that does not shrink is stored plain
_PLAIN, _LZ4, _REGROUPED_LZ4 = 0, 1, 2
_ROW = struct.Struct("<32sII")


@dataclass(frozen=True, slots=True)
class Table:
    """What is kept about a xorb's chunks: hash, raw length, and end offset among the stored bytes, of each."""

    packed: bytes

    def __len__(self) -> int:
        return len(self.packed) // _ROW.size

    def rows(self, first: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
        """(hash, raw length, end offset) of the chunks from `first` up to, not including, `end`."""
        stop = len(self) if end is None else end
        return _ROW.iter_unpack(memoryview(self.packed)[first * _ROW.size : stop * _ROW.size])

    def offset(self, chunk: int) -> int:
        """Where the chunk begins among the stored bytes."""
        if chunk == 0:
            return 0
        end: int = _ROW.unpack_from(self.packed, (chunk - 1) * _ROW.size)[2]
        return end


class Verifier:
    """Checks a xorb while it arrives. Memory: one chunk and what was fed last, whatever the size of the xorb."""

    def __init__(self) -> None:
        self._rest = b""
        self._rows = bytearray()
        self._children: list[tuple[bytes, int]] = []
        self._stored_bytes = 0
        self._raw_bytes = 0
        self._is_in_footer = False

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return those that are verified and to be kept. Raises Invalid (400)."""
        if self._is_in_footer:
            return b""
        data = self._rest + data
        at = 0
        while len(data) - at >= HEADER_BYTES:
            if data[at] != 0:
                self._check_footer(data[at : at + HEADER_BYTES])
                break
            stored, scheme, raw = _header(data, at)
            begin, end = at + HEADER_BYTES, at + HEADER_BYTES + stored
            if end > len(data):
                break
            self._take(decode_chunk(data[begin:end], scheme, raw), HEADER_BYTES + stored)
            at = end
        self._rest = b"" if self._is_in_footer else data[at:]
        return data[:at]

    def finish(self, expected: bytes) -> Table:
        """The table of a complete xorb whose hash is `expected`. Raises Invalid (400)."""
        if self._rest:
            raise _broken("it ends in the middle of a chunk")
        if not self._children:
            raise _broken("it holds no chunk")
        if xorb_hash(self._children) != expected:
            raise _broken("its content does not have the hash in the address")
        return Table(bytes(self._rows))

    def _take(self, raw: bytes, stored_bytes: int) -> None:
        self._raw_bytes += len(raw)
        self._stored_bytes += stored_bytes
        if self._raw_bytes > MAX_RAW_BYTES or len(self._children) >= MAX_CHUNKS:
            raise _broken(f"it holds more than {MAX_CHUNKS} chunks or {MAX_RAW_BYTES} bytes")
        digest = chunk_hash(raw)
        self._children.append((digest, len(raw)))
        self._rows += _ROW.pack(digest, len(raw), self._stored_bytes)

    def _check_footer(self, start: bytes) -> None:
        if not start.startswith(_FOOTER_MARK):
            raise _broken("a chunk has an unknown version")
        self._is_in_footer = True


def decode_chunk(stored: bytes, scheme: int, raw_length: int) -> bytes:
    """The raw bytes of a chunk, exactly `raw_length` of them. Raises Invalid (400)."""
    if scheme == _PLAIN:
        raw = stored
    elif scheme == _LZ4:
        raw = _decompress(stored, raw_length)
    elif scheme == _REGROUPED_LZ4:
        raw = _regroup(_decompress(stored, raw_length))
    else:
        raise _broken(f"a chunk has the unknown scheme {scheme}")
    if len(raw) != raw_length:
        raise _broken("a chunk does not have the length its header says")
    return raw


def decoded(file: BinaryIO, table: Table, first: int, end: int) -> Iterator[bytes]:
    """The raw bytes of a stored xorb's chunks from `first` up to, not including, `end`, one chunk at a time."""
    at = table.offset(first)
    file.seek(at)
    for _, _, stop in table.rows(first, end):
        data = file.read(stop - at)
        at = stop
        if len(data) < HEADER_BYTES:
            raise Invalid("A stored xorb is shorter than it was.", status=400)
        _, scheme, raw = _header(data, 0)
        yield decode_chunk(data[HEADER_BYTES:], scheme, raw)


def is_sound_xorb(file: BinaryIO, expected: str) -> bool:
    """Whether the stored xorb still has the (printed) hash it was stored under."""
    verifier = Verifier()
    try:
        while data := file.read(2**20):
            verifier.feed(data)
        verifier.finish(parse_printed(expected) or b"")
    except Invalid:
        return False
    return True


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Stored length, scheme and raw length from the chunk header at `at`, within bounds."""
    stored = int.from_bytes(data[at + 1 : at + 4], "little")
    raw = int.from_bytes(data[at + 5 : at + 8], "little")
    if not 0 < raw <= MAX_CHUNK_BYTES or not 0 < stored <= _MAX_STORED_BYTES:
        raise _broken("a chunk is empty or too long")
    return stored, data[at + 4], raw


def _decompress(stored: bytes, raw_length: int) -> bytes:
    """At most one byte more than `raw_length`, so that a small frame cannot become gigabytes."""
    frame = lz4.frame.LZ4FrameDecompressor()
    try:
        raw: bytes = frame.decompress(stored, max_length=raw_length + 1)
    except (RuntimeError, EOFError):
        raise _broken("a chunk is not a sound LZ4 frame") from None
    if not frame.eof or frame.unused_data:
        raise _broken("a chunk is not exactly one LZ4 frame of the length its header says")
    return raw


def _regroup(grouped: bytes) -> bytes:
    """Undo the grouping of bytes by their position modulo 4."""
    source = np.frombuffer(grouped, dtype=np.uint8)
    made = np.empty_like(source)
    at = 0
    for place in range(4):
        target = made[place::4]
        target[:] = source[at : at + len(target)]
        at += len(target)
    return made.tobytes()


def _broken(why: str) -> Invalid:
    return Invalid(f"This xorb cannot be accepted: {why}.", status=400, next_step="Send it again from the file.")
