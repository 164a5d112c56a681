"""The hot path: a download that was decided before is answered again without the ORM, while nothing has changed.

An answer is kept under the exact credential and raw path that it was given to, with the access version in force
*before* its facts were read. It is sent again only if that version still stands and no instant has passed at which time
alone could change the decision. There is no time limit to wait for: a revocation binds on the next request.
"""

import time
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime

from starlette.types import Receive, Scope, Send

from gatekeeper import tokens
from gatekeeper.web.hub.bytes_out import Keep, Prepared
from gatekeeper.web.hub.bytes_out import send as send_prepared
from gatekeeper.web.known import credential
from gatekeeper.web.version import AccessVersion

_MOST = 8192
_LARGEST_CONTENT = 64 * 1024  # small files are kept whole, so the cache stays below half a gigabyte at the very worst

Key = tuple[bytes, bytes]


class HotCache:
    """Answers kept for `HEAD` and `GET` on `/resolve/`, least recently used first out."""

    def __init__(self, version: AccessVersion, *, keep: Keep) -> None:
        self._version = version
        self.keep = keep
        self._kept: OrderedDict[Key, tuple[int, float, Prepared]] = OrderedDict()

    def applies_to(self, scope: Scope) -> bool:
        """Whether this request may be answered from here at all. Remembers the version for `remember`."""
        if scope["method"] not in ("GET", "HEAD") or b"/resolve/" not in scope["raw_path"]:
            return False
        scope["access_version"] = self._version.current()
        return True

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Send the kept answer, if there is one that still stands."""
        key = _key(scope)
        kept = self._kept.get(key) if key is not None else None
        if key is None or kept is None:
            return False
        version, valid_until, prepared = kept
        if version != scope["access_version"] or time.time() >= valid_until:
            del self._kept[key]
            return False
        if not prepared.has_bytes and scope["method"] == "GET":
            return False
        self._kept.move_to_end(key)
        if token_id := prepared.evidence.get("token_id"):
            tokens.saw(token_id)
        known = request_id(scope)
        extra = ((b"x-request-id", known),) if known else ()
        await send_prepared(prepared, scope, send, keep=self.keep, extra=extra)
        return True

    def remember(self, scope: Scope, prepared: Prepared, *, valid_until: Iterable[datetime | None]) -> None:
        """Keep an answer that was just allowed, until the earliest of `valid_until`."""
        version = scope.get("access_version")
        key = _key(scope)
        if version is None or key is None or len(prepared.content or b"") > _LARGEST_CONTENT:
            return
        until = min((instant.timestamp() for instant in valid_until if instant is not None), default=float("inf"))
        self._kept[key] = (version, until, prepared)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def request_id(scope: Scope) -> bytes:
    """The caller's own id, else the trace id that the Hub's client sends, else empty: printable and bounded."""
    trace = b""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and value:
            trace = value
            break
        if name == b"x-amzn-trace-id":
            trace = value
    return trace if trace.isalnum() and len(trace) <= 100 else bytes(c for c in trace[:100] if 32 < c < 127)


def _key(scope: Scope) -> Key | None:
    found = credential(scope)
    return None if found is None else (found, scope["raw_path"])
