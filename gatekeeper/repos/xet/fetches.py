"""Signed addresses of parts of xorbs: what a reconstruction hands out instead of bytes.

An address names repository, revision, xorb, ranges, who got it and until when. Its holder sends no other credential, so
it is short-lived, and whoever serves it asks again whether the one who got it may still download that revision.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gatekeeper.errors import Invalid, NotAllowed
from gatekeeper.repos import links
from gatekeeper.repos.xet.grants import XetGrant
from gatekeeper.repos.xet.reconstruction import Span, StoredXorb

# Clients ask for a new reconstruction where an address is over, so this need not cover a slow line.
ADDRESS_SECONDS = 120
SPANS_AN_ADDRESS = 24  # keeps an address below 2,000 characters
MOST_RANGES = 100
_PURPOSE = "xet-fetch"
_SPEC = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")

Bytes = tuple[int, int]  # first, and the one after the last


@dataclass(frozen=True, slots=True)
class Fetch:
    """What an address allows: these bytes of a xorb that has `size` of them, until `expires_at` (Unix)."""

    repo_id: str
    commit: str
    xorb_hash: str
    size: int
    spans: tuple[Bytes, ...]
    person_id: str | None
    token_id: str | None
    expires_at: int


def addresses(
    key: bytes, grant: XetGrant, xorb: StoredXorb, *, instant: datetime, each: int = SPANS_AN_ADDRESS
) -> Iterator[tuple[str, tuple[Span, ...]]]:
    """The paths under which the spans of `xorb` can be fetched, up to `each` of them under one."""
    for start in range(0, len(xorb.spans), each):
        some = xorb.spans[start : start + each]
        payload = {
            "repo": grant.repo_id,
            "commit": grant.commit,
            "xorb": xorb.xorb_hash,
            "size": xorb.size,
            "spans": [[span.first_byte, span.end_byte] for span in some],
            "person": grant.person_id,
            "token": grant.token_id,
            "exp": int(instant.timestamp()) + ADDRESS_SECONDS,
        }
        yield f"/cas/x/{links.seal(key, _PURPOSE, payload)}", some


def verify(key: bytes, signed: str, *, instant: datetime) -> Fetch:
    """What a signed address allows at `instant`. Raises NotAllowed, upon which clients ask for a new one."""
    payload = links.unseal(key, _PURPOSE, signed)
    if payload is None or payload["exp"] <= instant.timestamp():
        raise NotAllowed(
            "This address is not valid, or no longer.",
            code="InvalidFetchAddress",
            next_step="Ask for the file's reconstruction again.",
        )
    return Fetch(
        payload["repo"],
        payload["commit"],
        payload["xorb"],
        payload["size"],
        tuple((first, end) for first, end in payload["spans"]),
        payload["person"],
        payload["token"],
        payload["exp"],
    )


def asked(fetch: Fetch, value: str | None) -> list[Bytes]:
    """The bytes that a Range header asks of an address. Each range must lie within one that was signed.

    Raises NotAllowed for others, Invalid for a header that is missing or cannot be read.
    """
    unit, _, specs = (value or "").partition("=")
    parts = specs.split(",")
    if unit.strip() != "bytes" or len(parts) > MOST_RANGES:
        raise Invalid("Part of a file is to be had here.", next_step="Send the Range header that was announced.")
    found: list[Bytes] = []
    for part in parts:
        spec = _SPEC.fullmatch(part.strip())
        if spec is None or int(spec[2]) < int(spec[1]):
            raise Invalid("The range cannot be read.", next_step="Send the Range header that was announced.")
        first, end = int(spec[1]), int(spec[2]) + 1
        if not any(low <= first and end <= high for low, high in fetch.spans):
            raise NotAllowed("This address is for other bytes.", next_step="Ask for the ranges it was given for.")
        found.append((first, end))
    if sum(end - first for first, end in found) > sum(end - first for first, end in fetch.spans):
        raise NotAllowed("These ranges overlap.", next_step="Ask for each byte once.")
    return found
