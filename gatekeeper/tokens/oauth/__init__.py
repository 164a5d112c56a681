"""The authorization server: how programs and other sites get tokens without ever seeing a password.

A person lets an application in once, which makes a `Grant`: the family of every token that follows from it. Tokens are
those of `gatekeeper.tokens`, so they are resolved, narrowed and refused in the same one place. The protocol's forms are
Authlib's (`server`, `flows`); what is true is decided by the verbs here.
"""

from gatekeeper.tokens.oauth import applications, authorize, codes, device, grants, keys, publishers, statements
from gatekeeper.tokens.oauth.claims import claims_of
from gatekeeper.tokens.oauth.clients import HUB_CLI_ID, SCOPES, Client, find
from gatekeeper.tokens.oauth.flows import open_server
from gatekeeper.tokens.oauth.server import Answer, Asked, Ground
from gatekeeper.tokens.oauth.tables import (
    Application,
    DeviceRequest,
    Grant,
    Publisher,
    RefreshToken,
)

__all__ = [
    "HUB_CLI_ID",
    "SCOPES",
    "Answer",
    "Application",
    "Asked",
    "Client",
    "DeviceRequest",
    "Grant",
    "Ground",
    "Publisher",
    "RefreshToken",
    "applications",
    "authorize",
    "claims_of",
    "codes",
    "device",
    "find",
    "grants",
    "keys",
    "open_server",
    "publishers",
    "statements",
]
