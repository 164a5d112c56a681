"""When tokens were last used: noted in memory by the request, written by a job."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.tokens.tables import AccessToken, TokenUse


class LastUse:
    """What this process has seen since it last wrote. A crash loses at most a minute of it."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def saw(self, token_id: str) -> None:
        """Note that a token was used now. Costs a dictionary entry; called on every request."""
        self._seen[token_id] = now()

    async def write(self, database: Database) -> None:
        """Store what was seen. Called once a minute by the worker, never by a request."""
        if not self._seen:
            return
        seen, self._seen = self._seen, {}
        async with database.write() as session:
            await _store(session, seen, is_sqlite=database.is_sqlite)


_uses = LastUse()


def saw(token_id: str) -> None:
    """Note that a token was used now. `resolve` does; a door that answers from a cache has to."""
    _uses.saw(token_id)


async def write_last_use(database: Database) -> None:
    """Store what this process has seen since the last call."""
    await _uses.write(database)


async def _store(session: AsyncSession, seen: dict[str, datetime], *, is_sqlite: bool) -> None:
    ids = sorted(seen)  # in one order, so that two processes never wait for each other in a circle
    known = set(await session.scalars(sa.select(col(AccessToken.id)).where(col(AccessToken.id).in_(ids))))
    rows = [{"token_id": token_id, "last_used_at": seen[token_id]} for token_id in ids if token_id in known]
    if not rows:
        return
    insert = sqlite.insert(TokenUse) if is_sqlite else postgresql.insert(TokenUse)
    newer = insert.excluded.last_used_at
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["token_id"], set_={"last_used_at": newer}, where=col(TokenUse.last_used_at) < newer
        ),
        rows,
    )
