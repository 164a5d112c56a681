"""The two encodings inside a pack, read within bounds: zlib streams, and deltas against another object."""

import mmap
import zlib
from collections.abc import Iterator

from gatekeeper.errors import Invalid, TooLarge

MAX_KEPT_BYTES = 32 * 2**20
_PIECE = 2**18


class Inflated:
    """The pieces of one zlib stream of exactly `size` bytes; `end` is where it ended, once all were taken."""

    def __init__(self, data: mmap.mmap, start: int, end: int, size: int) -> None:
        self._data, self._start, self._limit, self._size = data, start, end, size
        self.end = start

    def __iter__(self) -> Iterator[bytes]:
        stream = zlib.decompressobj()
        position, left = self._start, self._size
        waiting = b""
        try:
            while not stream.eof:
                if not waiting:
                    waiting = self._data[position : min(position + _PIECE, self._limit)]
                    position += len(waiting)
                    if not waiting:
                        raise broken()
                # One byte more than is due shows a stream that is longer than it claims.
                piece = stream.decompress(waiting, min(left, _PIECE) + 1)
                waiting = stream.unconsumed_tail
                left -= len(piece)
                if left < 0:
                    raise broken()
                if piece:
                    yield piece
        except zlib.error:
            raise broken() from None
        if left:
            raise broken()
        self.end = position - len(waiting) - len(stream.unused_data)


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """The object that `delta` makes of `base`. Raises Invalid, and TooLarge before it is made."""
    position, size = _varint(delta, 0)
    if size != len(base):
        raise broken()
    position, wanted = _varint(delta, position)
    if wanted > MAX_KEPT_BYTES:
        raise too_long()
    made: list[bytes] = []
    length = 0
    while position < len(delta):
        code = delta[position]
        position += 1
        if code & 0x80:
            offset = amount = 0
            for bit in range(7):
                if code & (1 << bit):
                    if position >= len(delta):
                        raise broken()
                    if bit < 4:
                        offset |= delta[position] << (8 * bit)
                    else:
                        amount |= delta[position] << (8 * (bit - 4))
                    position += 1
            piece = base[offset : offset + (amount or 0x10000)]
            if len(piece) != (amount or 0x10000):
                raise broken()
        elif code:
            piece = delta[position : position + code]
            position += code
            if len(piece) != code:
                raise broken()
        else:
            raise broken()
        made.append(piece)
        length += len(piece)
        if length > wanted:
            raise broken()
    if length != wanted:
        raise broken()
    return b"".join(made)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return position, value
    raise broken()


def broken() -> Invalid:
    """The one answer to a pack whose form is wrong."""
    return Invalid("The pack cannot be read.", next_step="Push again; if it stays so, run `git fsck`.")


def too_long() -> TooLarge:
    """The answer to one object that is too long to be looked at."""
    return TooLarge(
        f"A pushed file has more than {MAX_KEPT_BYTES:,} bytes.",
        next_step="Keep large files in Git LFS: git lfs migrate import --above=10mb, then push again.",
    )
