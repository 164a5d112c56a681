"""Second factors: codes of an app, passkeys, and recovery codes for the day when both are lost.

A passkey is enough to sign in by itself: it is something a person has, opened by something they are or know. A sign-in
or a registration that takes two requests is a step, bound to the browser by a cookie and finished once.
"""

from gatekeeper.accounts.factors import passkeys, recovery, steps, totp
from gatekeeper.accounts.factors.holding import held
from gatekeeper.accounts.factors.passkeys import RelyingParty
from gatekeeper.accounts.factors.tables import Totp

__all__ = [
    "RelyingParty",
    "Totp",
    "held",
    "passkeys",
    "recovery",
    "steps",
    "totp",
]
