"""Reading a pushed pack within bounds: from a file on disk into another one, so that memory does not grow with it.

Every length that the sender claims is compared with a bound before anything is made of it. What comes out is each
object's true id, kind and bytes; nothing about it is believed yet. Source: git's gitformat-pack.
"""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gatekeeper.errors import Invalid, TooLarge
from gatekeeper.repos.git.inflate import MAX_KEPT_BYTES, Inflated, apply_delta, broken, too_long

MAX_OBJECTS = 250_000
MAX_UNPACKED_BYTES = 2**30
_KINDS = {1: "commit", 2: "tree", 3: "blob", 4: "tag"}
_OFFSET_DELTA, _REF_DELTA = 6, 7
_TRAILER = 20


@dataclass(frozen=True, slots=True)
class Packed:
    """One object: its kind, its size, and where it lies in the unpacked file; None where it was too long to keep."""

    kind: str
    size: int
    start: int | None


@dataclass(frozen=True, slots=True)
class _Header:
    """`base` is an offset in the pack, an object id, or None for an object that is no delta."""

    kind: int
    size: int
    base: int | str | None
    data: int


class Unpacked:
    """The objects of one pack, by id. Reading blocks; one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=str(folder), buffering=0)  # noqa: SIM115 (see close)
        self._end = 0
        self._taken = 0
        self.objects: dict[str, Packed] = {}

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def read(self, oid: str) -> bytes:
        """The bytes of an object that was kept."""
        return self.read_at(self.objects[oid])

    def read_at(self, found: Packed) -> bytes:
        """The bytes that `found` points at."""
        if found.start is None:
            raise too_long()
        return os.pread(self._file.fileno(), found.size, found.start)

    def add(self, kind: str, content: bytes) -> Packed:
        """Keep an object under its true id."""
        self.take(len(content))
        made = Packed(kind, len(content), self._end)
        self._end += os.pwrite(self._file.fileno(), content, self._end)
        if self._end != (made.start or 0) + made.size:
            raise OSError("a temporary file took only a part of what was written")
        self.objects[_hash(kind, made.size, [content])] = made
        return made

    def add_long(self, kind: str, size: int, pieces: Iterator[bytes]) -> Packed:
        """Learn the id of an object that is too long to be kept, so that its path can be named in the refusal."""
        self.take(size)
        made = Packed(kind, size, None)
        self.objects[_hash(kind, size, pieces)] = made
        return made

    def take(self, size: int) -> None:
        """Count `size` bytes; raises TooLarge when all together are too many."""
        self._taken += size
        if self._taken > MAX_UNPACKED_BYTES:
            raise TooLarge(
                f"The pushed objects have more than {MAX_UNPACKED_BYTES:,} bytes.",
                next_step="Push fewer commits at once, and keep large files in Git LFS (git lfs track).",
            )


def unpack(file: IO[bytes], into: Unpacked) -> None:
    """Read the pack that begins at the position of `file` (a file on disk). Blocking.

    Raises Invalid for a pack that is broken or leans on objects that are not in it, TooLarge beyond the bounds.
    """
    start = file.tell()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        end = len(data) - _TRAILER
        if end - start < 12 or data[start : start + 4] != b"PACK" or _u32(data, start + 4) not in (2, 3):
            raise broken()
        with memoryview(data) as view, view[start:end] as body:
            digest = hashlib.sha1(body, usedforsecurity=False).digest()
        if digest != data[end:]:
            raise broken()
        count = _u32(data, start + 8)
        if count > MAX_OBJECTS:
            raise TooLarge(f"A push has at most {MAX_OBJECTS:,} objects.", next_step="Push fewer commits at once.")
        _unpack_objects(data, start + 12, end, count, into)


def _unpack_objects(data: mmap.mmap, position: int, end: int, count: int, into: Unpacked) -> None:
    at: dict[int, Packed] = {}
    waiting: list[tuple[int, _Header, bytes]] = []
    for _ in range(count):
        here, header = position, _header(data, position, end)
        inflated = Inflated(data, header.data, end, header.size)
        if header.base is None and header.size > MAX_KEPT_BYTES:
            at[here] = into.add_long(_KINDS[header.kind], header.size, iter(inflated))
        else:
            if header.size > MAX_KEPT_BYTES:
                raise too_long()
            content = b"".join(inflated)
            if header.base is None:
                at[here] = into.add(_KINDS[header.kind], content)
            elif (base := _base(header, at, into)) is not None:
                at[here] = into.add(base.kind, apply_delta(into.read_at(base), content))
            else:
                into.take(len(content))
                waiting.append((here, header, content))
        position = inflated.end
    if position != end:
        raise broken()
    _resolve(waiting, at, into)


def _resolve(waiting: list[tuple[int, _Header, bytes]], at: dict[int, Packed], into: Unpacked) -> None:
    """Deltas whose base comes later in the pack. Git sends none of these where offsets are allowed."""
    while waiting:
        left = []
        for here, header, delta in waiting:
            if (base := _base(header, at, into)) is None:
                left.append((here, header, delta))
            else:
                at[here] = into.add(base.kind, apply_delta(into.read_at(base), delta))
        if len(left) == len(waiting):
            raise Invalid("The pack leans on objects that are not in it.", next_step="Push again with --no-thin.")
        waiting = left


def _base(header: _Header, at: dict[int, Packed], into: Unpacked) -> Packed | None:
    return (
        into.objects.get(header.base)
        if isinstance(header.base, str)
        else at.get(-1 if header.base is None else header.base)
    )


def _header(data: mmap.mmap, position: int, end: int) -> _Header:
    begin, byte = position, _byte(data, position, end)
    position += 1
    kind, size, shift = (byte >> 4) & 7, byte & 15, 4
    while byte & 0x80:
        byte = _byte(data, position, end)
        position += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if shift > 60:
            raise broken()
    if kind == _OFFSET_DELTA:
        byte = _byte(data, position, end)
        position += 1
        distance = byte & 0x7F
        while byte & 0x80 and distance < 2**40:
            byte = _byte(data, position, end)
            position += 1
            distance = ((distance + 1) << 7) | (byte & 0x7F)
        return _Header(kind, size, begin - distance, position)
    if kind == _REF_DELTA:
        return _Header(kind, size, data[position : position + 20].hex(), position + 20)
    if kind not in _KINDS:
        raise broken()
    return _Header(kind, size, None, position)


def _byte(data: mmap.mmap, position: int, end: int) -> int:
    if position >= end:
        raise broken()
    return data[position]


def _u32(data: mmap.mmap, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "big")


def _hash(kind: str, size: int, pieces: Iterator[bytes] | list[bytes]) -> str:
    hashed = hashlib.sha1(b"%s %d\0" % (kind.encode(), size), usedforsecurity=False)
    for piece in pieces:
        hashed.update(piece)
    return hashed.hexdigest()
