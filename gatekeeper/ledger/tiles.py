"""The log as C2SP tlog-tiles (c2sp.org/tlog-tiles): static pieces that mirrors and monitors copy and check.

A tile of level L holds up to 256 hashes of the tree's level 8L; tile N begins at position 256 N. A tile that is not
full yet has its width in its path. Entry bundles hold the events' own bytes in the same division.
Only what a signed checkpoint covers is given, so a tile never says more than was signed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Conflict, NotFound
from gatekeeper.ledger.leaf import LEAF_COLUMNS, leaf_bytes
from gatekeeper.ledger.prove import newest_checkpoint
from gatekeeper.ledger.tables import LedgerEvent, LedgerNode

WIDTH = 256
_HIGHEST_LEVEL = 63
_LONGEST_ENTRY = 2**16 - 1
_LEVEL = re.compile(r"0|[1-9][0-9]?", re.ASCII)
_INDEX = re.compile(r"((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True)
class Piece:
    """Which part of a level: position `index`, `width` hashes or entries from its beginning."""

    index: int
    width: int

    @property
    def is_full(self) -> bool:
        """Whether nothing can be added: such a piece never changes."""
        return self.width == WIDTH

    @property
    def path(self) -> str:
        """As it stands in addresses, `x001/x234/067` or `x001/x234/067.p/12`."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        whole = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        return whole if self.is_full else f"{whole}.p/{self.width}"

    @classmethod
    def parse(cls, path: str) -> "Piece":
        """The piece that a path names in the one way it may be written. Raises NotFound for everything else."""
        if len(path) <= 80 and (match := _INDEX.fullmatch(path)):
            piece = cls(int((match[1] + match[2]).replace("x", "").replace("/", "")), int(match[3] or WIDTH))
            if piece.path == path:  # no leading groups of zeros, no width of 256 or more
                return piece
        raise _no_piece()


async def hash_tile(session: AsyncSession, level: str, piece: Piece) -> bytes:
    """The hashes of a tile, 32 bytes each. Raises NotFound for what no signed checkpoint covers."""
    if not _LEVEL.fullmatch(level) or int(level) > _HIGHEST_LEVEL:
        raise _no_piece()
    height = 8 * int(level)
    start = piece.index * WIDTH
    if start + piece.width > await _signed_size(session) >> height:
        raise _no_piece()
    rows = await session.scalars(
        sa.select(col(LedgerNode.sha256))
        .where(
            col(LedgerNode.level) == height,
            col(LedgerNode.position) >= start,
            col(LedgerNode.position) < start + piece.width,
        )
        .order_by(col(LedgerNode.position))
    )
    hashes = list(rows)
    if len(hashes) != piece.width:
        raise Conflict("The ledger lacks subtrees of this tile.", next_step="Run `gatekeeper ledger verify`.")
    return b"".join(bytes.fromhex(hashed) for hashed in hashes)


async def entry_bundle(session: AsyncSession, piece: Piece) -> bytes:
    """The sealed bytes of a tile's events, each after its length as two bytes, highest first."""
    start = piece.index * WIDTH
    if start + piece.width > await _signed_size(session):
        raise _no_piece()
    query = (
        sa.select(*LEAF_COLUMNS)
        .where(col(LedgerEvent.number) >= start, col(LedgerEvent.number) < start + piece.width)
        .order_by(col(LedgerEvent.number))
    )
    return _bundle([leaf_bytes(event, number=event.number) for event in (await session.execute(query)).all()])


def _bundle(entries: Sequence[bytes]) -> bytes:
    if any(len(entry) > _LONGEST_ENTRY for entry in entries):
        raise Conflict(
            "An event in this bundle is longer than the format's 65,535 bytes.",
            next_step="Take it with `gatekeeper ledger prove`.",
        )
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


async def _signed_size(session: AsyncSession) -> int:
    head = await newest_checkpoint(session)
    return head.size if head else 0


def _no_piece() -> NotFound:
    return NotFound(
        "The evidence log has no such tile.", next_step="Take the sizes from the newest checkpoint of the log."
    )
