"""The server half of the Xet protocol: what the public client moves large files by, without negotiating.

`grants` are the tokens and the address, `receive` takes xorbs and shards, `files` says what is registered,
`reconstruction` and `fetches` give it out, `dedup` answers who has a chunk. Xorbs are kept per repository: a client
refers to those it sent before without sending them again.
"""

from gatekeeper.repos.xet.dedup import answer as dedup_answer
from gatekeeper.repos.xet.fetches import Fetch, addresses, asked
from gatekeeper.repos.xet.fetches import verify as verify_fetch
from gatekeeper.repos.xet.files import Found, hashes_of, in_commit
from gatekeeper.repos.xet.grants import XetGrant, cas_path, check, is_in_use, issue
from gatekeeper.repos.xet.hashes import printed
from gatekeeper.repos.xet.receive import Progress, ReceivedXorb, accept_shard, receive_xorb, register_xorb
from gatekeeper.repos.xet.reconstruction import Plan, Span, StoredXorb, plan, wanted
from gatekeeper.repos.xet.registration import has_xorb, renew_xorb
from gatekeeper.repos.xet.shard import MAX_BODY_BYTES as MAX_SHARD_BYTES

__all__ = [
    "MAX_SHARD_BYTES",
    "Fetch",
    "Found",
    "Plan",
    "Progress",
    "ReceivedXorb",
    "Span",
    "StoredXorb",
    "XetGrant",
    "accept_shard",
    "addresses",
    "asked",
    "cas_path",
    "check",
    "dedup_answer",
    "has_xorb",
    "hashes_of",
    "in_commit",
    "is_in_use",
    "issue",
    "plan",
    "printed",
    "receive_xorb",
    "register_xorb",
    "renew_xorb",
    "verify_fetch",
    "wanted",
]
