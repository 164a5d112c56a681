"""The outbox's verbs. A job is promised in the transaction of the act that needs it, and done at least once."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.jobs.tables import Job
from gatekeeper.kit.canonical import canonical_json
from gatekeeper.kit.clock import now

LEASE_SECONDS = 300
MOST_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 5
_LONGEST_PAUSE_SECONDS = 3600
_SET_ASIDE = sa.and_(col(Job.failed_at).is_not(None), col(Job.finished_at).is_(None))


async def enqueue(session: AsyncSession, kind: str, payload: dict[str, Any], *, run_at: datetime | None = None) -> Job:
    """Promise work in the caller's transaction.

    kind     names the handler, as in `notices:mail`
    payload  what the handler needs: ids, not objects; it may run twice, so it says what, not how often
    """
    job = Job(kind=kind, payload=json.loads(canonical_json(payload)), run_at=run_at or now())
    session.add(job)
    return job


async def is_due(session: AsyncSession, kinds: Collection[str]) -> bool:
    """Whether `claim` would find something; asks without taking the writers' lock."""
    return await session.scalar(sa.select(col(Job.id)).where(_due(kinds)).limit(1)) is not None


async def claim(session: AsyncSession, kinds: Collection[str], *, lease_seconds: int = LEASE_SECONDS) -> Job | None:
    """The next job that is due, reserved for `lease_seconds`; None if there is none.

    A worker that dies leaves its lease behind; when that ends another worker gets the job. A job that was tried
    MOST_ATTEMPTS times without anybody reporting back is set aside as failed.
    """
    query = (sa.select(Job).where(_due(kinds)).order_by(col(Job.run_at), col(Job.id)).limit(1)).with_for_update(
        skip_locked=True
    )
    while job := await session.scalar(query):
        job.attempts += 1
        job.claimed_until = now() + timedelta(seconds=lease_seconds)
        if job.attempts > MOST_ATTEMPTS:
            job.failed_at, job.error = now(), "no worker came back from it"
        session.add(job)
        await session.flush()  # the next query must not find it again
        if job.failed_at is None:
            return job
    return None


async def finish(session: AsyncSession, job: Job) -> bool:
    """Mark a claimed job as done; False when the lease had ended and somebody else took it."""
    return await _update(session, job, finished_at=now(), claimed_until=None, error="")


async def retry(session: AsyncSession, job: Job, error: str) -> bool:
    """Give a claimed job back after a failure: it runs again after a growing pause, at last it is set aside.

    error  what went wrong, without secrets or personal data
    Returns False when the lease had ended and somebody else took it.
    """
    instant = now()
    if job.attempts >= MOST_ATTEMPTS:
        return await _update(session, job, failed_at=instant, claimed_until=None, error=error[:2000])
    pause = min(_FIRST_PAUSE_SECONDS * 2 ** (job.attempts - 1), _LONGEST_PAUSE_SECONDS)
    return await _update(
        session, job, run_at=instant + timedelta(seconds=pause), claimed_until=None, error=error[:2000]
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """Work that is not done.

    due_since  since when the oldest of it waits that is due; None where nothing is
    failed     kinds of jobs that were set aside, how many of each, and what went wrong with one of them
    """

    due: int
    due_since: datetime | None
    failed: tuple[tuple[str, int, str], ...]


async def backlog(session: AsyncSession) -> Backlog:
    """What waits, and what was given up, in two queries."""
    waits = sa.and_(col(Job.finished_at).is_(None), col(Job.failed_at).is_(None), col(Job.run_at) <= now())
    due, since = (await session.execute(sa.select(sa.func.count(), sa.func.min(col(Job.run_at))).where(waits))).one()
    number = sa.func.count()
    failed = await session.execute(
        sa.select(col(Job.kind), number, sa.func.max(col(Job.error)))
        .where(_SET_ASIDE)
        .group_by(col(Job.kind))
        .order_by(number.desc())
    )
    return Backlog(int(due), since, tuple((kind, int(count), error) for kind, count, error in failed))


async def try_again(session: AsyncSession, kind: str) -> int:
    """Have every job of this kind that was set aside done as if it were new; returns how many."""
    return await _take_up(session, kind, failed_at=None, attempts=0, claimed_until=None, run_at=now(), error="")


async def dismiss(session: AsyncSession, kind: str) -> int:
    """Leave undone, for good, every job of this kind that was set aside; returns how many."""
    return await _take_up(session, kind, finished_at=now())


async def clean_up(session: AsyncSession, *, older_than_days: int = 30) -> None:
    """Forget jobs that were done, or dismissed, long ago. Failed ones stay until somebody has looked."""
    before = now() - timedelta(days=older_than_days)
    await session.execute(sa.delete(Job).where(col(Job.finished_at) < before))


async def _take_up(session: AsyncSession, kind: str, **values: Any) -> int:
    update = sa.update(Job).where(col(Job.kind) == kind, _SET_ASIDE).values(**values)
    return len((await session.execute(update.returning(col(Job.id)))).all())


def _due(kinds: Collection[str]) -> sa.ColumnElement[bool]:
    instant = now()
    return sa.and_(
        col(Job.kind).in_(sorted(kinds)),
        col(Job.finished_at).is_(None),
        col(Job.failed_at).is_(None),
        col(Job.run_at) <= instant,
        sa.or_(col(Job.claimed_until).is_(None), col(Job.claimed_until) <= instant),
    )


async def _update(session: AsyncSession, job: Job, **values: Any) -> bool:
    # `attempts` names the claim: if it has moved on, this worker has lost the job and must not report on it.
    result = await session.execute(
        sa.update(Job)
        .where(
            col(Job.id) == job.id,
            col(Job.attempts) == job.attempts,
            col(Job.finished_at).is_(None),
            col(Job.failed_at).is_(None),
        )
        .values(**values)
        .returning(col(Job.id))
    )
    return result.first() is not None
