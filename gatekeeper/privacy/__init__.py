"""What the hub knows about people: handed out to themselves, kept no longer than needed, and forgotten on demand.

The evidence log holds ids and digests only. Everything that names a person lies beside it in rows, so those can go
while every proof stays valid. Callers write `foresee`, `erase`, `export_of`, `hold`, `lift_hold`, `enforce`, `reseal`.
"""

from gatekeeper.privacy.erasure import erase, foresee
from gatekeeper.privacy.export import export_of
from gatekeeper.privacy.holds import hold, hold_on, lift_hold
from gatekeeper.privacy.resealing import reseal
from gatekeeper.privacy.retention import Periods, enforce
from gatekeeper.privacy.tables import LegalHold

__all__ = [
    "LegalHold",
    "Periods",
    "enforce",
    "erase",
    "export_of",
    "foresee",
    "hold",
    "hold_on",
    "lift_hold",
    "reseal",
]
