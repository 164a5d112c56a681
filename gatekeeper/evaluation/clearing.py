"""Clearing: images and readings go when their time or their repository is over. Reports, receipts and events stay."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.evaluation.pictures import PictureFolder
from gatekeeper.evaluation.tables import EvaluationImage, EvaluationReading, EvaluationRun, RunState
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

_BATCH = 2_000


async def clear(session: AsyncSession, folder: PictureFolder, *, days: int) -> int:
    """Remove images of deleted repositories, and those older than `days` (0: none) that no open run needs.

    Returns how many went, and records it if there were any. At most a batch at a time; safe to repeat.
    """
    gone = _in_deleted_repository(col(EvaluationImage.repo_id))
    over = [gone] if not days else [gone, _is_old(now() - timedelta(days=days))]
    rows = (await session.scalars(sa.select(EvaluationImage).where(sa.or_(*over)).limit(_BATCH))).all()
    for row in rows:
        await session.delete(row)
    # Written before the look at what is left: an image that two repositories made alike stays for the other.
    await session.flush()
    digests = {row.image_sha256 for row in rows if row.image_sha256}
    unused = digests - await _used(session, digests)
    await session.execute(sa.delete(EvaluationReading).where(col(EvaluationReading.image_sha256).in_(unused)))
    # Before the commit: a crash in between leaves rows without files, which go the next time, and never the reverse.
    await folder.delete(unused)
    if rows:
        await ledger.record(session, "evaluation:image:clear", body={"images": len(rows)})
    await session.execute(
        sa.update(EvaluationRun)
        .where(
            col(EvaluationRun.state).in_((RunState.RUNNING, RunState.PAUSED)),
            _in_deleted_repository(col(EvaluationRun.repo_id)),
        )
        .values(state=RunState.CANCELLED, ended_at=now(), held_until=None)
    )
    return len(rows)


def _in_deleted_repository(repo_id: Any) -> sa.ColumnElement[bool]:
    return sa.exists().where(col(Repo.id) == repo_id, col(Repo.deleted_at).is_not(None))


def _is_old(before: datetime) -> sa.ColumnElement[bool]:
    needed = sa.exists().where(
        col(EvaluationRun.repo_id) == col(EvaluationImage.repo_id),
        col(EvaluationRun.commit_id) == col(EvaluationImage.commit_id),
        col(EvaluationRun.state).in_((RunState.RUNNING, RunState.PAUSED)),
    )
    return sa.and_(col(EvaluationImage.made_at) < before, ~needed)


async def _used(session: AsyncSession, digests: set[str]) -> set[str]:
    query = sa.select(col(EvaluationImage.image_sha256)).where(col(EvaluationImage.image_sha256).in_(digests))
    return set(await session.scalars(query))
