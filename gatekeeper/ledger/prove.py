"""Proofs that anyone can check with the public key alone: that an event is in the log, that the log only grew."""

import base64
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.merkle import consistency_parts, inclusion_parts, leaf_hash, verify_inclusion
from gatekeeper.kit.note import Checkpoint, open_note
from gatekeeper.ledger.leaf import leaf_bytes
from gatekeeper.ledger.tables import LedgerCheckpoint, LedgerEvent
from gatekeeper.ledger.tree import load_proof


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
            "format": "gatekeeper-ledger-proof",
            "version": 1,
            "number": self.number,
            "event": self.leaf.decode(),
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


async def prove_growth(session: AsyncSession, old_size: int, new_size: int) -> list[bytes]:
    """The consistency proof between two sizes of the log. Raises NotFound for sizes it never had."""
    head = await newest_checkpoint(session)
    if not 0 <= old_size <= new_size <= (head.size if head else 0):
        raise NotFound("The log never had these sizes.", next_step="Give two sizes, the smaller one first.")
    return await load_proof(session, consistency_parts(old_size, new_size))


async def newest_checkpoint(session: AsyncSession) -> LedgerCheckpoint | None:
    """The head of the log as it was last signed; None before the first event is sealed."""
    return await session.scalar(sa.select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1))
