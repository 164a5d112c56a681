"""Proofs that anyone can check with the public key alone: that an event is in the log, that the log only grew."""

import base64
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.merkle import (
    consistency_parts,
    inclusion_parts,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from gatekeeper.kit.note import Checkpoint, open_note
from gatekeeper.ledger.leaf import leaf_bytes
from gatekeeper.ledger.tables import LedgerCheckpoint, LedgerEvent
from gatekeeper.ledger.tree import load_proof

PROOF = "gatekeeper-ledger-proof"
GROWTH = "gatekeeper-ledger-growth"


@dataclass(frozen=True)
class Proof:
    """That an event is number `number` of the log whose head was signed.

    leaf        the event's sealed bytes (canonical JSON)
    hashes      the inclusion proof, from the leaf's sibling up
    checkpoint  the signed note
    """

    number: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str

    def holds(self, public: bytes) -> bool:
        """Whether the checkpoint is signed by `public` and the event is under it. Needs no database."""
        try:
            head = Checkpoint.parse(open_note(self.checkpoint, public))
        except ValueError:
            return False
        return verify_inclusion(leaf_hash(self.leaf), self.number, head.size, self.hashes, head.root)

    def as_json(self) -> dict[str, Any]:
        """The form in which proofs travel. Fields are added, never renamed."""
        return {
            "format": PROOF,
            "version": 1,
            "number": self.number,
            "event": self.leaf.decode(),
            "hashes": [base64.b64encode(hashed).decode() for hashed in self.hashes],
            "checkpoint": self.checkpoint,
        }

    def as_text(self, *, with_event: bool) -> str:
        """The proof as C2SP tlog-proof. Without the event only those who have its bytes can check it."""
        extra = f"extra {base64.b64encode(self.leaf).decode()}\n" if with_event else ""
        hashes = "".join(f"{base64.b64encode(hashed).decode()}\n" for hashed in self.hashes)
        return f"c2sp.org/tlog-proof@v1\n{extra}index {self.number}\n{hashes}\n{self.checkpoint}"


@dataclass(frozen=True)
class Growth:
    """That the log of `new_size` events begins with the log of `old_size`: nothing of it was changed or taken away.

    hashes      the consistency proof
    checkpoint  the signed note of the larger log
    """

    old_size: int
    new_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    def holds(self, public: bytes, old: Checkpoint) -> bool:
        """Whether the checkpoint is signed by `public` and grew from `old`, a trusted one. Needs no database."""
        try:
            head = Checkpoint.parse(open_note(self.checkpoint, public))
        except ValueError:
            return False
        is_same_log = (head.origin, head.size, old.size) == (old.origin, self.new_size, self.old_size)
        return is_same_log and verify_consistency(old.size, head.size, self.hashes, old.root, head.root)

    def as_json(self) -> dict[str, Any]:
        """The form in which proofs travel. Fields are added, never renamed."""
        return {
            "format": GROWTH,
            "version": 1,
            "old_size": self.old_size,
            "new_size": self.new_size,
            "hashes": [base64.b64encode(hashed).decode() for hashed in self.hashes],
            "checkpoint": self.checkpoint,
        }


async def prove(session: AsyncSession, event_id: str) -> Proof:
    """The inclusion proof of an event under the newest checkpoint.

    Raises NotFound for no such event, Conflict while it waits to be sealed.
    """
    event = await session.get(LedgerEvent, event_id)
    if event is None:
        raise NotFound("The ledger has no such event.", next_step="Check the event's id.")
    head = await newest_checkpoint(session)
    if event.number is None or head is None or event.number >= head.size:
        raise Conflict("This event is not sealed yet.", next_step="Ask again in a few seconds.")
    hashes = await load_proof(session, inclusion_parts(event.number, head.size))
    return Proof(event.number, leaf_bytes(event, number=event.number), tuple(hashes), head.note)


async def prove_from(session: AsyncSession, old_size: int) -> Growth:
    """That the log as it was last signed begins with its first `old_size` events. Raises NotFound if it is shorter."""
    head = await newest_checkpoint(session)
    if head is None or not 0 <= old_size <= head.size:
        raise NotFound(
            f"The log does not have {old_size} signed events.",
            next_step="If a checkpoint says it had, events were cut off: tell the hub's administrators.",
        )
    hashes = await load_proof(session, consistency_parts(old_size, head.size))
    return Growth(old_size, head.size, tuple(hashes), head.note)


async def newest_checkpoint(session: AsyncSession) -> LedgerCheckpoint | None:
    """The head of the log as it was last signed; None before the first event is sealed."""
    return await session.scalar(sa.select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1))
