"""The evidence log: acts are recorded with what they changed, then sealed into a signed Merkle tree.

A verb calls `record` in its own transaction; what all acts of a request have in common is told once (`working`).
A moment later the `Sealer` numbers what is pending, puts it into an RFC 6962 tree and signs a checkpoint; from then on
the database refuses to change it and `verify` finds whoever did. Downloads, which change nothing, are written by the
`EvidenceWriter` in groups.
"""

from gatekeeper.ledger import offline, tiles
from gatekeeper.ledger.evidence import EvidenceWriter
from gatekeeper.ledger.kinds import KINDS
from gatekeeper.ledger.listing import events, kinds_there
from gatekeeper.ledger.prove import Proof, newest_checkpoint, prove, prove_from
from gatekeeper.ledger.record import fields, record
from gatekeeper.ledger.seal import Sealer, pending
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.ledger.tree import sealed_size
from gatekeeper.ledger.verify import Report, verify, verify_newest
from gatekeeper.ledger.work import present, tell, working

__all__ = [
    "KINDS",
    "EvidenceWriter",
    "LedgerEvent",
    "Proof",
    "Report",
    "Sealer",
    "events",
    "fields",
    "kinds_there",
    "newest_checkpoint",
    "offline",
    "pending",
    "present",
    "prove",
    "prove_from",
    "record",
    "sealed_size",
    "tell",
    "tiles",
    "verify",
    "verify_newest",
    "working",
]
