"""How many API calls one caller may make: a fixed window in the process's memory, told in every answer's headers.

A caller is a person once one of their credentials was accepted, whatever tokens they use; everybody else is an address.
A credential that was refused, or was never seen, counts for its address, so that made-up tokens give no new window.
Several processes count each for itself: the limit keeps one client from wearing the hub out, it is no quota.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import Scope

from gatekeeper.accounts import Principal
from gatekeeper.errors import TooMany

WINDOW_SECONDS = 300
_MOST_CALLERS = 100_000

Headers = tuple[tuple[bytes, bytes], ...]


class RateLimits:
    """Counts calls below `/api/` and `/oauth/`. `limit` is for one caller and window; 0 switches it off."""

    def __init__(self, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._salt = secrets.token_bytes(32)  # neither addresses nor credentials are kept, not even in memory
        self._people: OrderedDict[bytes, str] = OrderedDict()  # accepted credential to person
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._window = -1

    def applies_to(self, scope: Scope) -> bool:
        """Whether this request is counted. Files are not: they have a path of their own."""
        return self._limit > 0 and scope["path"].startswith(("/api/", "/oauth/"))

    def take(self, scope: Scope) -> Headers:
        """Count one call; returns the headers of its answer. Raises TooMany when the caller has none left."""
        moment = self._clock()
        window, seconds = int(moment // WINDOW_SECONDS), WINDOW_SECONDS - int(moment % WINDOW_SECONDS)
        if window != self._window:
            self._window = window
            self._counts.clear()
        caller = self._caller(scope)
        count = self._counts.get(caller, 0) + 1
        self._counts[caller] = count
        self._counts.move_to_end(caller)
        if len(self._counts) > _MOST_CALLERS:
            self._counts.popitem(last=False)
        if count > self._limit:
            raise TooMany(
                f"You have made more than {self._limit:,} API calls in {WINDOW_SECONDS // 60} minutes.",
                next_step=f"Go on in {seconds} seconds; the client waits by itself.",
                details={"retry_after_seconds": seconds},
            )
        return self._headers(self._limit - count, seconds)

    def refused(self, error: TooMany) -> Headers:
        """The headers of the answer to a call that `take` refused."""
        return self._headers(0, int(error.details["retry_after_seconds"]))

    def saw(self, scope: Scope, *, status: int) -> None:
        """Learn from an answer whose credential it was."""
        credential = _credential(scope)
        principal: Principal | None = scope.get("gatekeeper.principal")
        if not credential:
            return
        key = self._hash(credential)
        if principal is not None and principal.person_id is not None and status != 401:
            self._people[key] = principal.person_id
            self._people.move_to_end(key)
            if len(self._people) > _MOST_CALLERS:
                self._people.popitem(last=False)
        else:
            self._people.pop(key, None)

    def _caller(self, scope: Scope) -> str:
        credential = _credential(scope)
        person = self._people.get(self._hash(credential)) if credential else None
        if person is not None:
            return person
        client = scope.get("client")
        return self._hash((client[0] if client else "").encode()).hex()

    def _headers(self, remaining: int, seconds: int) -> Headers:
        return (
            (b"ratelimit", f'"api";r={remaining};t={seconds}'.encode()),
            (b"ratelimit-policy", f'"fixed window";"api";q={self._limit};w={WINDOW_SECONDS}'.encode()),
        )

    def _hash(self, value: bytes) -> bytes:
        return hashlib.blake2b(value, key=self._salt, digest_size=16).digest()


def _credential(scope: Scope) -> bytes:
    return b"\n".join(value for name, value in scope["headers"] if name in (b"authorization", b"cookie"))
