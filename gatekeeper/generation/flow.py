"""How hosted inference goes: what was ordered and delivered lately, how long people waited, and what safety stopped."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.generation.tables import Generation, GenerationState, Strike
from gatekeeper.generation.usage import DELIVERED
from gatekeeper.kit.clock import now
from gatekeeper.kit.days import by_day, count_by_day, last_days

HOURS = 24
_MOST = 20_000  # orders looked at, the newest


@dataclass(frozen=True, slots=True)
class Flow:
    """Orders of people in the last 24 hours; evaluations are left out, for they wait behind everybody.

    ends            how many ended in each way, or are being made
    by_hour         each hour's beginning, with the images delivered in it
    middle, slow    seconds from order to image: of half of the delivered orders at most, and of 95 of 100; None of none
    compute_seconds of the engine that they were charged
    """

    ends: dict[GenerationState, int]
    by_hour: tuple[tuple[datetime, int], ...]
    middle: float | None
    slow: float | None
    compute_seconds: float

    @property
    def images(self) -> int:
        """Delivered."""
        return sum(count for _, count in self.by_hour)


async def flow(session: AsyncSession) -> Flow:
    """How it went until now."""
    this_hour = now().replace(minute=0, second=0, microsecond=0)
    hours = [this_hour - timedelta(hours=ago) for ago in reversed(range(HOURS))]
    rows = await session.execute(
        sa.select(
            col(Generation.state),
            col(Generation.started_at),
            col(Generation.finished_at),
            col(Generation.image_sha256),
            col(Generation.charged_seconds),
        )
        .where(col(Generation.started_at) >= hours[0], col(Generation.is_evaluation).is_(False))
        .order_by(col(Generation.started_at).desc())
        .limit(_MOST)
    )
    ends, images, seconds, waits = Counter[GenerationState](), Counter[datetime](), 0.0, []
    for state, started_at, finished_at, delivered, charged_seconds in rows:
        ends[state] += 1
        if state is GenerationState.DONE and finished_at is not None:
            images[finished_at.replace(minute=0, second=0, microsecond=0)] += len(delivered)
            seconds += charged_seconds
            waits.append((finished_at - started_at).total_seconds())
    waits.sort()
    return Flow(
        ends=dict(ends),
        by_hour=tuple((hour, images[hour]) for hour in hours),
        middle=_share(waits, 0.5),
        slow=_share(waits, 0.95),
        compute_seconds=seconds,
    )


async def made_by_day(session: AsyncSession, days: int) -> list[tuple[str, int]]:
    """Orders that came to their end on each of the last `days`, by the day on which they began; evaluations apart."""
    wanted = last_days(now(), days)
    counted = await count_by_day(
        session,
        col(Generation.started_at),
        col(Generation.started_at) >= datetime.combine(wanted[0], time(), UTC),
        col(Generation.state) == GenerationState.DONE,
        col(Generation.is_evaluation).is_(False),
    )
    return by_day(wanted, counted)


@dataclass(frozen=True, slots=True)
class Tally:
    """Orders of people in the last 24 hours, counted by the database: for whoever asks every few seconds.

    orders         how many stand how: a state, or `withheld` where one was done and nothing of it given out
    images         given out
    running_since  when the oldest was ordered that waits or is being made; None where none is
    """

    orders: dict[str, int]
    images: int
    running_since: datetime | None


async def tally(session: AsyncSession) -> Tally:
    """How they stand now."""
    empty = sa.func.count().filter(DELIVERED == 0)
    rows = await session.execute(
        sa.select(
            col(Generation.state),
            sa.func.count(),
            empty,
            sa.func.sum(DELIVERED),
            sa.func.min(col(Generation.started_at)),
        )
        .where(col(Generation.started_at) >= now() - timedelta(hours=HOURS), col(Generation.is_evaluation).is_(False))
        .group_by(col(Generation.state))
    )
    orders, images, since = dict.fromkeys([*GenerationState, "withheld"], 0), 0, None
    for state, count, without, delivered, oldest in rows:
        orders[state], images = count, images + delivered
        if state is GenerationState.DONE:
            orders[state], orders["withheld"] = count - without, without
        elif state is GenerationState.RUNNING:
            since = oldest
    return Tally(orders, images, since)


async def fired_since(session: AsyncSession, instant: datetime) -> list[tuple[str, int]]:
    """How often each rule, or each concept that a check found, stopped an order since then; most often first."""
    rows = await session.scalars(
        sa.select(col(Strike.fired))
        .where(col(Strike.struck_at) > instant)
        .order_by(col(Strike.struck_at).desc())
        .limit(_MOST)
    )
    return Counter(name for fired in rows for name in fired).most_common()


def _share(ordered: list[float], part: float) -> float | None:
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else None
