"""Which process makes an order: a lease on its row, so that a restart, or another process, takes over what is left.

INVARIANT: an order ends only in a transaction that holds its row and finds it running and claimed by the one who ends
it (see generation.outcomes). So it ends once, whoever else still works on it.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now

LEASE = timedelta(seconds=30)
MOST_LOSSES = 2  # an order that was being made when its worker died is made again once, alone
LEFT_FOR_GOOD = timedelta(hours=1)  # nobody waits for an order that was left this long
_BATCH = 50


async def is_any_left(session: AsyncSession) -> bool:
    """Whether `take_over` would find something; asks without taking the writers' lock."""
    return await session.scalar(sa.select(col(Generation.id)).where(_left()).limit(1)) is not None


async def take_over(session: AsyncSession, process: str) -> list[Generation]:
    """Claim running orders that nobody makes (any more), oldest first."""
    query = sa.select(Generation).where(_left()).order_by(col(Generation.id)).limit(_BATCH)
    left = list(await session.scalars(query.with_for_update(skip_locked=True)))
    for made in left:
        made.claimed_by, made.claimed_until = process, now() + LEASE
    return left


async def renew(session: AsyncSession, process: str) -> list[str]:
    """Go on believing in this process; returns the ids of its orders that are not wanted any more."""
    await session.execute(
        sa.update(Generation)
        .where(col(Generation.claimed_by) == process, col(Generation.state) == GenerationState.RUNNING)
        .values(claimed_until=now() + LEASE)
    )
    unwanted = sa.select(col(Generation.id)).where(
        col(Generation.claimed_by) == process, col(Generation.is_unwanted).is_(True)
    )
    return list(await session.scalars(unwanted))


async def let_go(session: AsyncSession, process: str) -> None:
    """Leave what this process makes to whoever comes next, at once."""
    await session.execute(
        sa.update(Generation)
        .where(col(Generation.claimed_by) == process, col(Generation.state) == GenerationState.RUNNING)
        .values(claimed_until=now())
    )


async def lose(session: AsyncSession, generation_id: str, process: str) -> bool:
    """Note that the worker died while making an order; whether it may be made again."""
    losses = await session.scalar(
        sa.update(Generation)
        .where(col(Generation.id) == generation_id, col(Generation.claimed_by) == process)
        .values(losses=col(Generation.losses) + 1, claimed_until=now() + LEASE)
        .returning(col(Generation.losses))
    )
    return losses is not None and losses < MOST_LOSSES


async def give_up(session: AsyncSession, generation_id: str) -> None:
    """Ask whoever makes the order to stop."""
    await session.execute(
        sa.update(Generation)
        .where(col(Generation.id) == generation_id, col(Generation.state) == GenerationState.RUNNING)
        .values(is_unwanted=True)
    )


def is_for_nobody(made: Generation) -> bool:
    """Whether an order that was left has nobody who could still have its images."""
    return made.is_awaited or now() - made.started_at > LEFT_FOR_GOOD


def _left() -> sa.ColumnElement[bool]:
    return sa.and_(col(Generation.claimed_until) <= now(), col(Generation.state) == GenerationState.RUNNING)
