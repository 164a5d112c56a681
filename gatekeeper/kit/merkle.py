"""The Merkle tree of RFC 6962 over SHA-256, as pure functions: growing, roots, and both kinds of proof.

A complete subtree is named (level, position): it covers the 2^level leaves from position * 2^level on. Those never
change once they are full, so they are what is stored; every other hash is computed from them.
Leaves are hashed with a 0x00 before them, inner nodes with a 0x01 (RFC 6962, 2.1).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Node = tuple[int, int]
Lookup = Callable[[Node], bytes]

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a tree: all that is needed to grow it and to know its root."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)  # of the complete subtrees, largest (leftmost) first

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Add one leaf hash; returns every subtree that is complete now, smallest first."""
        position, level, hashed = self.size, 0, leaf
        complete = [((0, position), leaf)]
        while position & 1:
            hashed = node_hash(self.peaks.pop(), hashed)
            position, level = position >> 1, level + 1
            complete.append(((level, position), hashed))
        self.peaks.append(hashed)
        self.size += 1
        return complete

    @property
    def root(self) -> bytes:
        """The tree's root (RFC 6962, 2.1: MTH)."""
        return _fold(self.peaks)

    @classmethod
    def load(cls, size: int, lookup: Lookup) -> "Frontier":
        """The edge of the tree of `size` leaves; `lookup` is asked for `subtrees(0, size)`."""
        return cls(size, [lookup(node) for node in subtrees(0, size)])


def subtrees(start: int, end: int) -> list[Node]:
    """The complete subtrees that make up the leaves `start` to `end`, left to right.

    `start` is a multiple of the largest power of two below `end - start`, as it is in every proof.
    """
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append((level, start >> level))
        start += 1 << level
    return nodes


def inclusion_parts(index: int, size: int) -> list[list[Node]]:
    """What an inclusion proof (RFC 6962, 2.1.1) is made of: for each of its hashes, the subtrees it folds."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    start, end, parts = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            parts.append(subtrees(middle, end))
            end = middle
        else:
            parts.append(subtrees(start, middle))
            start = middle
    return parts[::-1]


def consistency_parts(old: int, new: int) -> list[list[Node]]:
    """What a consistency proof (RFC 6962, 2.1.2) is made of, in the manner of `inclusion_parts`."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} cannot grow into one of {new}")
    if old in (0, new):
        return []
    start, end, is_whole, parts = 0, new, True, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            parts.append(subtrees(middle, end))
            end = middle
        else:
            parts.append(subtrees(start, middle))
            start, is_whole = middle, False
    if not is_whole:
        parts.append(subtrees(start, end))
    return parts[::-1]


def proof_of(parts: Sequence[Sequence[Node]], lookup: Lookup) -> list[bytes]:
    """The proof itself, from its parts and the stored subtrees."""
    return [_fold([lookup(node) for node in part]) for part in parts]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Iterable[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is number `index` of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    first, last, hashed = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if first & 1 or first == last:
            hashed = node_hash(step, hashed)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            hashed = node_hash(hashed, step)
        first, last = first >> 1, last >> 1
    return last == 0 and hashed == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether `proof` shows that the tree of `new` leaves begins with the tree of `old` (RFC 9162, 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old < new:
        return False
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    was = becomes = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if first & 1 or first == last:
            was, becomes = node_hash(step, was), node_hash(step, becomes)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            becomes = node_hash(becomes, step)
        first, last = first >> 1, last >> 1
    return last == 0 and was == old_root and becomes == new_root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _fold(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded
