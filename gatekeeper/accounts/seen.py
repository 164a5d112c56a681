"""When and from where sessions were last seen: noted in memory by the request, written by a job."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address, ip_network

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.link_tables import SessionUse
from gatekeeper.accounts.tables import BrowserSession
from gatekeeper.db import Database
from gatekeeper.kit.clock import now


@dataclass(frozen=True)
class Seen:
    """One sight of a session."""

    at: datetime
    network: str


class LastSeen:
    """What this process has seen since it last wrote. A crash loses at most a minute of it."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def last(self, session_id: str) -> datetime | None:
        """When this process saw a session since it last wrote, None if it did not."""
        seen = self._seen.get(session_id)
        return seen.at if seen else None

    def saw(self, session_id: str, address: str) -> None:
        """Note a session's request. Costs a dictionary entry."""
        self._seen[session_id] = Seen(now(), network_of(address))

    async def write(self, database: Database) -> None:
        """Store what was seen. Called once a minute by the worker, never by a request."""
        if not self._seen:
            return
        seen, self._seen = self._seen, {}
        async with database.write() as session:
            await _store(session, seen, is_sqlite=database.is_sqlite)


_sights = LastSeen()


def saw(session_id: str, address: str) -> None:
    """Note a session's request in this process."""
    _sights.saw(session_id, address)


async def is_idle(session: AsyncSession, browser: BrowserSession, idle: timedelta) -> bool:
    """Whether a session was not used for so long. What other processes saw in the last minute may not be known yet."""
    least = now() - idle
    if browser.signed_in_at > least or (_sights.last(browser.id) or least) > least:
        return False
    use = await session.get(SessionUse, browser.id)
    return use is None or use.last_seen_at <= least


async def write_last_seen(database: Database) -> None:
    """Store what this process has seen since the last call."""
    await _sights.write(database)


async def of(session: AsyncSession, session_ids: list[str]) -> dict[str, Seen]:
    """When and from where these sessions were last seen, as far as it was written."""
    rows = await session.scalars(sa.select(SessionUse).where(col(SessionUse.session_id).in_(session_ids)))
    return {row.session_id: Seen(row.last_seen_at, row.network) for row in rows}


def network_of(address: str) -> str:
    """The network around an address, enough to know one's own places by: `192.0.2.0/24`, `2001:db8::/48`."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if (inner := getattr(found, "ipv4_mapped", None)) is not None:
        found = inner
    return str(ip_network(f"{found}/{24 if isinstance(found, IPv4Address) else 48}", strict=False))


async def _store(session: AsyncSession, seen: dict[str, Seen], *, is_sqlite: bool) -> None:
    ids = sorted(seen)  # in one order, so that two processes never wait for each other in a circle
    known = set(await session.scalars(sa.select(col(BrowserSession.id)).where(col(BrowserSession.id).in_(ids))))
    rows = [{"session_id": id, "last_seen_at": seen[id].at, "network": seen[id].network} for id in ids if id in known]
    if not rows:
        return
    insert = sqlite.insert(SessionUse) if is_sqlite else postgresql.insert(SessionUse)
    new = insert.excluded
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["session_id"],
            set_={"last_seen_at": new.last_seen_at, "network": new.network},
            where=col(SessionUse.last_seen_at) < new.last_seen_at,
        ),
        rows,
    )
