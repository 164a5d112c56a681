"""Access tokens: bearer credentials for programs, each holding a part of one person's rights.

A secret reads `gk_` + 38 random characters + a checksum, so that scanners recognize a leaked one; the database holds
its HMAC under a key that lies in a file. A token is checked against its row on every request, so revocation, expiry
and a disabled owner bind on the next one.
"""

from gatekeeper.tokens import approval, limits
from gatekeeper.tokens.at_once import AtOnce
from gatekeeper.tokens.issue import issue, last_used, list_for, revoke
from gatekeeper.tokens.leave import forget_organization, report_leaked, revoke_all
from gatekeeper.tokens.resolve import behind, resolve, resume
from gatekeeper.tokens.scopes import Scope
from gatekeeper.tokens.tables import AccessToken, TokenKind, TokenUse, Verdict
from gatekeeper.tokens.use import LastUse, Seen, saw, write_last_use

__all__ = [
    "AccessToken",
    "AtOnce",
    "LastUse",
    "Scope",
    "Seen",
    "TokenKind",
    "TokenUse",
    "Verdict",
    "approval",
    "behind",
    "forget_organization",
    "issue",
    "last_used",
    "limits",
    "list_for",
    "report_leaked",
    "resolve",
    "resume",
    "revoke",
    "revoke_all",
    "saw",
    "write_last_use",
]
