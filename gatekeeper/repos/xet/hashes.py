"""Xet's hashes: of chunks, of the trees over them, of files, and of the ranges that prove possession.

Everything is BLAKE3 with a key that depends on what is hashed. A hash is 32 bytes; people and addresses see it
"printed" as four little-endian 64-bit words, which is not the plain hex of its bytes.
Source: the public Xet specification (huggingface/hub-docs, docs/xet), hashing.
"""

import struct
from collections import deque
from collections.abc import Iterable, Iterator

from blake3 import blake3

from gatekeeper.repos.paths import is_sha256

_DATA_KEY = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
_NODE_KEY = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
_RANGE_KEY = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
_FILE_KEY = bytes(32)

NOTHING = bytes(32)  # hash of an empty file, and of a xorb without chunks
_MAX_CHILDREN = 9
_MIN_CHILDREN = 3
_CUT_DIVISOR = 4

Child = tuple[bytes, int]  # hash, size in bytes


def printed(raw: bytes) -> str:
    """The 64 hex digits by which a 32-byte hash is named in addresses and JSON."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def parse_printed(text: str) -> bytes | None:
    """The 32 bytes behind a printed hash, or None."""
    if not is_sha256(text):  # the same form: 64 lower-case hex digits
        return None
    return struct.pack("<4Q", *(int(text[at : at + 16], 16) for at in range(0, 64, 16)))


def chunk_hash(data: bytes) -> bytes:
    """Hash of a chunk's raw bytes."""
    return blake3(data, key=_DATA_KEY).digest()


def xorb_hash(chunks: Iterable[Child]) -> bytes:
    """Hash of a xorb: the root of the tree over its chunks; a single chunk's root is its own hash."""
    return _root(chunks)


def file_hash(chunks: Iterable[Child]) -> bytes:
    """Hash of a file made of these chunks."""
    root = _root(chunks)
    return NOTHING if root == NOTHING else blake3(root, key=_FILE_KEY).digest()


def range_hash(chunk_hashes: Iterable[bytes]) -> bytes:
    """Hash over a run of chunk hashes, which only somebody who has the chunks can compute."""
    return blake3(b"".join(chunk_hashes), key=_RANGE_KEY).digest()


def _root(chunks: Iterable[Child]) -> bytes:
    level = _merged(chunks, single=True)
    while len(level) > 1:
        level = _merged(level, single=False)
    return level[0][0] if level else NOTHING


def _merged(children: Iterable[Child], *, single: bool) -> list[Child]:
    """The next level of the tree. The lowest level is taken as a stream, so only a third of it is ever in memory."""
    source = iter(children)
    waiting: deque[Child] = deque()
    made: list[Child] = []
    while True:
        _fill(waiting, source)
        if single and not made and len(waiting) == 1:
            return [waiting[0]]
        if not waiting:
            return made
        made.append(_node([waiting.popleft() for _ in range(_group_size(waiting))]))


def _fill(waiting: deque[Child], source: Iterator[Child]) -> None:
    while len(waiting) < _MAX_CHILDREN and (child := next(source, None)) is not None:
        waiting.append(child)


def _group_size(waiting: deque[Child]) -> int:
    """How many children the next node takes: 3 to 9, ended by a hash divisible by 4; a rest of 1 or 2 as it is."""
    for index in range(_MIN_CHILDREN - 1, len(waiting)):
        if int.from_bytes(waiting[index][0][24:], "little") % _CUT_DIVISOR == 0:
            return index + 1
    return len(waiting)


def _node(children: list[Child]) -> Child:
    text = "".join(f"{printed(raw)} : {size}\n" for raw, size in children)
    return blake3(text.encode(), key=_NODE_KEY).digest(), sum(size for _, size in children)
