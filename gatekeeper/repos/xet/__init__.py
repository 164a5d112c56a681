"""The server half of the Xet protocol: what the public client moves large files by, without negotiating.

`grants` are the tokens and the address, `receive` takes xorbs and shards, `files` says what is registered,
`reconstruction` and `fetches` give it out, `dedup` answers who has a chunk. Xorbs are stored once for all repositories;
`reach` says whose chunks an upload may name. Clients refer to what they sent before without sending it again.
"""

from gatekeeper.repos.xet.dedup import answer as dedup_answer
from gatekeeper.repos.xet.fetches import Fetch, addresses, asked
from gatekeeper.repos.xet.fetches import verify as verify_fetch
from gatekeeper.repos.xet.files import Found, hashes_of, in_commit, places_in
from gatekeeper.repos.xet.grants import XetGrant, cas_path, check, is_in_use, issue
from gatekeeper.repos.xet.hashes import printed
from gatekeeper.repos.xet.reach import FileOf, Sender
from gatekeeper.repos.xet.receive import Progress, accept_shard, receive_xorb, register_xorb
from gatekeeper.repos.xet.reconstruction import Plan, Span, StoredXorb, place_of, plan, wanted
from gatekeeper.repos.xet.registration import renew_xorb
from gatekeeper.repos.xet.shard import MAX_BODY_BYTES as MAX_SHARD_BYTES
from gatekeeper.repos.xet.sharing import is_within_reach, share, was_sent

__all__ = [
    "MAX_SHARD_BYTES",
    "Fetch",
    "FileOf",
    "Found",
    "Plan",
    "Progress",
    "Sender",
    "Span",
    "StoredXorb",
    "XetGrant",
    "accept_shard",
    "addresses",
    "asked",
    "cas_path",
    "check",
    "dedup_answer",
    "hashes_of",
    "in_commit",
    "is_in_use",
    "is_within_reach",
    "issue",
    "place_of",
    "places_in",
    "plan",
    "printed",
    "receive_xorb",
    "register_xorb",
    "renew_xorb",
    "share",
    "verify_fetch",
    "wanted",
    "was_sent",
]
