"""How many API calls one caller may make: a fixed window, told in every answer's headers.

A caller is a person once one of their credentials was accepted, whatever tokens they use; everybody else is an address.
One token may have less than its person, by a setting, so that a script that runs wild does not use up all of it.
A credential that was refused, or was never seen, counts for its address, so that made-up tokens give no new window.
Each process counts in memory, and every few seconds tells the others through the database about whoever has used up a
good part: no request waits for that. Between two such moments, several processes may let a little more through.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from starlette.types import Scope

from gatekeeper.accounts import Principal
from gatekeeper.accounts.use_tables import ApiUse
from gatekeeper.db import Database
from gatekeeper.errors import TooMany
from gatekeeper.kit.figures import duration_text
from gatekeeper.kit.ids import new_id

WINDOW_SECONDS = 300
SHARE_SECONDS = 5
_MOST_CALLERS = 100_000
_SHARED_FROM = 20  # a caller is told to the other processes from a twentieth of the limit on

Headers = tuple[tuple[bytes, bytes], ...]


class RateLimits:
    """Counts calls below `/api/` and `/oauth/`. `limit` is for one caller and window; 0 switches it off."""

    def __init__(self, limit: int, *, key: bytes, per_token: int = 0, clock: Callable[[], float] = time.time) -> None:
        """How much there is for one caller, and what of it one credential may use up.

        key        32 bytes, the same in every process: neither addresses nor credentials are kept, not even in memory
        per_token  0 for as much as its person
        """
        self._limit = limit
        self._per_token = per_token
        self._clock = clock
        self._salt = key
        self._process = new_id()
        self._elsewhere: dict[str, int] = {}  # calls of this window that other processes have counted
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
            self._elsewhere = {}
        left = {limit: limit - self._count(caller) for caller, limit in self._callers(scope)}
        limit, remaining = min(left.items(), key=lambda each: each[1])
        if remaining < 0:
            raise TooMany(
                f"You have made more than {limit:,} API calls in {WINDOW_SECONDS // 60} minutes.",
                next_step=f"Go on in {duration_text(seconds)}; the client waits by itself.",
                details={"retry_after_seconds": seconds, "limit": limit},
            )
        return self._headers(remaining, seconds, limit)

    async def share(self, database: Database) -> None:
        """Tell the other processes what this one has counted, and learn what they have. Called every few seconds."""
        window = self._window
        if not self._limit or window < 0:
            return
        least = max(1, min(self._limit, self._per_token or self._limit) // _SHARED_FROM)
        rows = [
            {"window": window, "caller": caller, "process": self._process, "calls": count}
            for caller, count in self._counts.items()
            if count >= least
        ]
        if rows:
            insert = sqlite.insert(ApiUse) if database.is_sqlite else postgresql.insert(ApiUse)
            async with database.write() as session:
                await session.execute(sa.delete(ApiUse).where(col(ApiUse.window) < window))
                await session.execute(
                    insert.on_conflict_do_update(
                        index_elements=["window", "caller", "process"], set_={"calls": insert.excluded.calls}
                    ),
                    rows,
                )
        async with database.read() as session:
            found = await session.execute(
                sa.select(col(ApiUse.caller), sa.func.sum(col(ApiUse.calls)))
                .where(col(ApiUse.window) == window, col(ApiUse.process) != self._process)
                .group_by(col(ApiUse.caller))
            )
            elsewhere = {caller: int(calls) for caller, calls in found}
        if window == self._window:
            self._elsewhere = elsewhere

    def refused(self, error: TooMany) -> Headers:
        """The headers of the answer to a call that `take` refused."""
        return self._headers(0, int(error.details["retry_after_seconds"]), int(error.details["limit"]))

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

    def _count(self, caller: str) -> int:
        """One call more; returns how many there were, here and elsewhere."""
        count = self._counts.get(caller, 0) + 1
        self._counts[caller] = count
        self._counts.move_to_end(caller)
        if len(self._counts) > _MOST_CALLERS:
            self._counts.popitem(last=False)
        return count + self._elsewhere.get(caller, 0)

    def _callers(self, scope: Scope) -> list[tuple[str, int]]:
        """Whom a call is counted for, each with their limit."""
        credential = _credential(scope)
        hashed = self._hash(credential) if credential else b""
        person = self._people.get(hashed)
        if person is None:
            client = scope.get("client")
            return [(self._hash((client[0] if client else "").encode()).hex(), self._limit)]
        own = [(hashed.hex(), self._per_token)] if 0 < self._per_token < self._limit else []
        return [(person, self._limit), *own]

    def _headers(self, remaining: int, seconds: int, limit: int) -> Headers:
        return (
            (b"ratelimit", f'"api";r={remaining};t={seconds}'.encode()),
            (b"ratelimit-policy", f'"fixed window";"api";q={limit};w={WINDOW_SECONDS}'.encode()),
        )

    def _hash(self, value: bytes) -> bytes:
        return hashlib.blake2b(value, key=self._salt, digest_size=16).digest()


def _credential(scope: Scope) -> bytes:
    return b"\n".join(value for name, value in scope["headers"] if name in (b"authorization", b"cookie"))
