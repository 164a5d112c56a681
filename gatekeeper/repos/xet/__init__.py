"""The server half of the Xet protocol: what the public client uploads large files by, without negotiating.

`grants` are the tokens and the address, `receive` the verbs behind the endpoint. Xorbs are kept per repository: a
client refers to those it sent before without sending them again.
"""

from gatekeeper.repos.xet.grants import XetGrant, cas_path, check, issue
from gatekeeper.repos.xet.receive import (
    Progress,
    ReceivedXorb,
    accept_shard,
    has_xorb,
    receive_xorb,
    register_xorb,
)
from gatekeeper.repos.xet.shard import MAX_BODY_BYTES as MAX_SHARD_BYTES

__all__ = [
    "MAX_SHARD_BYTES",
    "Progress",
    "ReceivedXorb",
    "XetGrant",
    "accept_shard",
    "cas_path",
    "check",
    "has_xorb",
    "issue",
    "receive_xorb",
    "register_xorb",
]
