"""When tokens were last used, from where and by what: noted in memory by the request, written by a job."""

import re
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.seen import network_of
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.tokens.tables import AccessToken, TokenUse

_FAMILY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,29}", re.ASCII)


@dataclass(frozen=True)
class Seen:
    """Where a request came from, as far as a token's owner has to know it.

    place   the network: 24 bits of an IPv4 address, 48 of an IPv6 one
    client  the first product of the user agent, without its version
    """

    place: str | None = None
    client: str | None = None

    @classmethod
    def of(cls, address: str, user_agent: str) -> "Seen":
        """What may be kept of a request; both are untrusted."""
        family = _FAMILY.match(user_agent)
        return cls(network_of(address.partition("%")[0]) or None, family[0] if family else None)


NOWHERE = Seen()


class LastUse:
    """What this process has seen since it last wrote. A crash loses at most a minute of it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[datetime, Seen]] = {}

    def saw(self, token_id: str, seen: Seen = NOWHERE) -> None:
        """Note that a token was used now. Costs a dictionary entry; called on every request."""
        if seen is NOWHERE and token_id in self._seen:
            seen = self._seen[token_id][1]
        self._seen[token_id] = (now(), seen)

    async def write(self, database: Database) -> None:
        """Store what was seen. Called once a minute by the worker, never by a request."""
        if not self._seen:
            return
        seen, self._seen = self._seen, {}
        async with database.write() as session:
            await _store(session, seen, is_sqlite=database.is_sqlite)


_uses = LastUse()


def saw(token_id: str, seen: Seen = NOWHERE) -> None:
    """Note that a token was used now. `resolve` does; a door that answers from a cache has to."""
    _uses.saw(token_id, seen)


async def write_last_use(database: Database) -> None:
    """Store what this process has seen since the last call."""
    await _uses.write(database)


async def _store(session: AsyncSession, seen: dict[str, tuple[datetime, Seen]], *, is_sqlite: bool) -> None:
    ids = sorted(seen)  # in one order, so that two processes never wait for each other in a circle
    known = set(await session.scalars(sa.select(col(AccessToken.id)).where(col(AccessToken.id).in_(ids))))
    rows = [
        {"token_id": token_id, "last_used_at": at, "place": where.place, "client": where.client}
        for token_id in ids
        if token_id in known
        for at, where in (seen[token_id],)
    ]
    if not rows:
        return
    insert = sqlite.insert(TokenUse) if is_sqlite else postgresql.insert(TokenUse)
    newer = insert.excluded.last_used_at
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["token_id"],
            # A use without a place (answered from a cache) leaves the one that is known.
            set_={
                "last_used_at": newer,
                "place": sa.func.coalesce(insert.excluded.place, col(TokenUse.place)),
                "client": sa.func.coalesce(insert.excluded.client, col(TokenUse.client)),
            },
            where=col(TokenUse.last_used_at) < newer,
        ),
        rows,
    )
