"""How much room what takes: by repository and owner, what is kept once, and uploads that are under way."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.kit.clock import now
from gatekeeper.kit.days import by_day, count_by_day, last_days
from gatekeeper.repos.tables import Repo, RepoObject, StoredObject, StoredXorb, Upload

_SIZE = sa.func.coalesce(sa.func.sum(col(StoredObject.size_bytes)), 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """Large files of the whole hub, in bytes; small files lie in the database.

    referred  as if every repository had its own copy of each file
    stored    as they lie in the store, each once
    xorbs     blocks that Xet clients sent, beside them
    """

    referred: int
    stored: int
    xorbs: int
    files: int

    @property
    def saved(self) -> int:
        """What keeping a file once saves."""
        return max(0, self.referred - self.stored)


@dataclass(frozen=True, slots=True)
class Share:
    """What large files of one repository, or of all of a namespace, take. `repo` is None for a namespace."""

    name: str
    repo: Repo | None
    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Pending:
    """Uploads that were announced and are not finished. `since`: when the oldest of them began."""

    count: int
    size_bytes: int
    since: datetime | None


async def totals(s: AsyncSession) -> Totals:
    """The sums, in one query."""
    stored = sa.select(_SIZE, sa.func.count()).select_from(StoredObject).subquery()
    referred = sa.select(_SIZE).select_from(_held()).scalar_subquery()
    xorbs = sa.select(sa.func.coalesce(sa.func.sum(col(StoredXorb.size_bytes)), 0)).scalar_subquery()
    row = (await s.execute(sa.select(referred, *stored.c, xorbs))).one()
    return Totals(int(row[0]), int(row[1]), int(row[3]), int(row[2]))


async def stored_by_day(s: AsyncSession, days: int) -> list[tuple[str, int]]:
    """Bytes that came into the store on each of the last `days`, of what lies there now."""
    wanted = last_days(now(), days)
    since, came = datetime.combine(wanted[0], time(), UTC), Counter[date]()
    for at, size in (
        (col(StoredObject.stored_at), col(StoredObject.size_bytes)),
        (col(StoredXorb.received_at), col(StoredXorb.size_bytes)),
    ):
        came.update(dict(await count_by_day(s, at, at >= since, of=sa.func.sum(size))))
    return by_day(wanted, came.items())


async def largest(s: AsyncSession, *, limit: int) -> list[Share]:
    """Repositories whose large files take most."""
    per = (
        sa.select(col(RepoObject.repo_id), _SIZE.label("size"), sa.func.count().label("files"))
        .select_from(_held())
        .group_by(col(RepoObject.repo_id))
        .subquery()
    )
    query = sa.select(Repo, per.c.size, per.c.files).join(per, per.c.repo_id == col(Repo.id))
    rows = await s.execute(query.order_by(per.c.size.desc(), col(Repo.id)).limit(limit))
    return [Share(repo.full_name, repo, int(size), int(files)) for repo, size, files in rows]


async def largest_owners(s: AsyncSession, *, limit: int) -> list[Share]:
    """Namespaces whose repositories take most."""
    source = _held().join(Repo, col(Repo.id) == col(RepoObject.repo_id))
    query = sa.select(col(Repo.namespace), _SIZE, sa.func.count()).select_from(source).group_by(col(Repo.namespace))
    rows = await s.execute(query.order_by(_SIZE.desc(), col(Repo.namespace)).limit(limit))
    return [Share(name, None, int(size), int(files)) for name, size, files in rows]


async def pending(s: AsyncSession) -> Pending:
    """Uploads under way, or given up and not cleaned away yet."""
    row = (
        await s.execute(
            sa.select(
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(col(Upload.size_bytes)), 0),
                sa.func.min(col(Upload.started_at)),
            ).where(col(Upload.finished_at).is_(None))
        )
    ).one()
    return Pending(int(row[0]), int(row[1]), row[2])


def _held() -> Any:
    return sa.join(RepoObject, StoredObject, col(RepoObject.sha256) == col(StoredObject.sha256))
