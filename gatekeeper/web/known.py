"""What was found for a caller and a revision: looked up once, then used for every file of it while nothing has changed.

Beside the answers of `hot`, which are whole, these are the facts: each request is decided on them anew, at its own
instant. They stand under the exact credential and the names in the path, with the access version in force *before*
they were read, and no longer than time alone leaves token and revision what they were.
"""

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.types import Scope

from gatekeeper import tokens
from gatekeeper.accounts import Principal
from gatekeeper.kit.clock import now
from gatekeeper.repos.lru import Lru
from gatekeeper.web.finding import Found

_MOST = 4096

Key = tuple[bytes, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Known:
    """Who asked, and what their path named, at an access version, and until when time alone leaves both as they are."""

    version: int
    principal: Principal
    found: Found
    ends_at: datetime | None


class KnownFacts:
    """Facts kept for requests that name a revision, least recently used first out."""

    def __init__(self) -> None:
        self._kept: Lru[Key, Known] = Lru(_MOST)

    def find(self, request: Request, version: int | None) -> Known | None:
        """What still stands of an earlier request like this one; its token counts as used."""
        key = _key(request)
        known = self._kept.get(key) if key is not None and version is not None else None
        if known is None or known.version != version:
            return None
        if known.ends_at is not None and known.ends_at <= now():
            return None
        if known.principal.token_id is not None:
            tokens.saw(known.principal.token_id)
        return known

    def remember(self, request: Request, version: int | None, principal: Principal, found: Found) -> None:
        """Keep what was just found; `version` was taken before."""
        key = _key(request)
        if key is not None and version is not None and (found.commit is None) is (key[-1] == ""):
            ends = [end for end in (principal.valid_until, found.valid_until) if end is not None]
            self._kept.put(key, Known(version, principal, found, min(ends, default=None)))


def credential(scope: Scope) -> bytes | None:
    """The Authorization header, empty for nobody in particular. None for browsers, whose session's rights are looked up
    each time, and where several credentials were sent: what one of them opened must never be kept under another.
    """
    found = None
    for name, value in scope["headers"]:
        if name == b"cookie" or (name == b"authorization" and found is not None):
            return None
        if name == b"authorization":
            found = value
    return found or b""


def _key(request: Request) -> Key | None:
    """None for paths that name no repository, and where `credential` is."""
    params = request.path_params
    sent = credential(request.scope)
    if sent is None or not {"ns", "name"} <= params.keys():
        return None
    return (sent, params.get("kind", ""), params["ns"], params["name"], params.get("rev", ""))
