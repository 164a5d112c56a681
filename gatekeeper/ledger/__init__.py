"""The evidence log: acts are recorded with what they changed, then sealed into a signed Merkle tree.

A verb calls `record` in its own transaction. A moment later the `Sealer` numbers what is pending, puts it into an
RFC 6962 tree and signs a checkpoint; from then on the database refuses to change it and `verify` finds whoever did.
Downloads, which change nothing, are written by the `EvidenceWriter` in groups.
"""

from gatekeeper.ledger.record import record
from gatekeeper.ledger.tables import LedgerCheckpoint, LedgerEvent, LedgerNode

__all__ = ["LedgerCheckpoint", "LedgerEvent", "LedgerNode", "record"]
