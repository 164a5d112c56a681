"""Sealing: pending events get their numbers, the tree grows, a checkpoint is signed.

Writers add events without numbers, so they never wait for each other; one sealer at a time puts them in order. (A chain
head that every writer locks was measured at a fortieth of this rate.)
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.kit.merkle import leaf_hash
from gatekeeper.kit.note import Checkpoint, sign_note
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger.leaf import LEAF_COLUMNS, leaf_bytes
from gatekeeper.ledger.tables import LedgerCheckpoint, LedgerEvent, LedgerNode
from gatekeeper.ledger.tree import load_frontier, sealed_size

_BATCH = 500  # events in one transaction: other writers wait for it on SQLite
_LOCK = 0x67617465  # PostgreSQL advisory lock of whoever seals; any number that is always the same


class Sealer:
    """Puts pending events into the tree. Any number of processes may have one: they take turns."""

    def __init__(self, database: Database, key: SigningKey, *, origin: str = "gatekeeper/ledger") -> None:
        """origin  name of this log in its checkpoints: the public address without its scheme, then `/ledger`"""
        self._database = database
        self._key = key
        self._origin = origin

    async def seal(self, *, most: int | None = None) -> int:
        """Seal what is pending; returns how many events.

        most  about how many at once, None for all: sealing a row costs as much as answering a request, so a busy server
              seals a part of them every second and the rest when it is quiet
        """
        total = 0
        while sealed := await self._seal_batch():
            total += sealed
            if sealed < _BATCH or (most is not None and total >= most):
                break
        return total

    async def _seal_batch(self) -> int:
        async with self._database.read() as session:
            if not await has_pending(session):
                return 0  # without ever taking the writers' lock
        async with self._database.write() as session:
            if not self._database.is_sqlite:
                await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            query = (
                sa.select(*LEAF_COLUMNS)
                .where(col(LedgerEvent.number).is_(None))
                .order_by(col(LedgerEvent.occurred_at), col(LedgerEvent.id))
                .limit(_BATCH)
            )
            events = (await session.execute(query)).all()
            if events:
                await self._append(session, events)
            return len(events)

    async def _append(self, session: AsyncSession, events: Sequence[sa.Row[Any]]) -> None:
        frontier = await load_frontier(session, await sealed_size(session))
        numbers: list[dict[str, Any]] = []
        nodes: list[dict[str, Any]] = []
        for event in events:
            number = frontier.size
            leaf = leaf_hash(leaf_bytes(event, number=number))
            numbers.append({"event": event.id, "as_number": number, "leaf": leaf.hex()})
            nodes += [
                {"level": level, "position": position, "sha256": hashed.hex()}
                for (level, position), hashed in frontier.append(leaf)
            ]
        table = LedgerEvent.__table__  # type: ignore[attr-defined]  # SQLModel adds it at run time
        connection = await session.connection()
        await connection.execute(
            sa.update(table)
            .where(table.c.id == sa.bindparam("event"), table.c.number.is_(None))
            .values(number=sa.bindparam("as_number"), leaf_sha256=sa.bindparam("leaf")),
            numbers,
        )
        await connection.execute(sa.insert(LedgerNode.__table__), nodes)  # type: ignore[attr-defined]
        checkpoint = Checkpoint(self._origin, frontier.size, frontier.root)
        session.add(
            LedgerCheckpoint(
                size=checkpoint.size,
                root_sha256=checkpoint.root.hex(),
                note=sign_note(checkpoint.text, self._key, name=self._origin),
            )
        )


async def pending(session: AsyncSession) -> tuple[int, datetime | None]:
    """How many events wait for their number, and since when the oldest of them does."""
    oldest = sa.func.min(col(LedgerEvent.occurred_at))
    query = sa.select(sa.func.count(), oldest).where(col(LedgerEvent.number).is_(None))
    count, since = (await session.execute(query)).one()
    return int(count), since


async def has_pending(session: AsyncSession) -> bool:
    """Whether any event waits for its number."""
    query = sa.select(col(LedgerEvent.id)).where(col(LedgerEvent.number).is_(None)).limit(1)
    return await session.scalar(query) is not None
