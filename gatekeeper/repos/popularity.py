"""What people like, and how often repositories were downloaded. Shown and sorted by; decides nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.errors import NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import DownloadCount, Repo, RepoLike

_DOWNLOAD = "repos:file:download"
_TRENDING_DAYS = 30

downloads_of_repo: sa.ColumnElement[int] = sa.func.coalesce(
    sa.select(col(DownloadCount.total)).where(col(DownloadCount.repo_id) == col(Repo.id)).scalar_subquery(), 0
)
likes_of_repo: sa.ColumnElement[int] = (
    sa.select(sa.func.count()).select_from(RepoLike).where(col(RepoLike.repo_id) == col(Repo.id)).scalar_subquery()
)


def trending_of_repo() -> sa.ColumnElement[int]:
    """The score `trendingScore`: people who came to like the repository in the last 30 days (whole days, UTC).

    It changes at midnight alone, or when somebody likes something, so that the pages of one list agree.
    """
    since = now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=_TRENDING_DAYS)
    recent = sa.select(sa.func.count()).select_from(RepoLike)
    return recent.where(col(RepoLike.repo_id) == col(Repo.id), col(RepoLike.liked_at) >= since).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Popularity:
    """How often a repository was downloaded, how many people like it, and how many of them began lately."""

    downloads: int = 0
    likes: int = 0
    trending: int = 0


async def of(s: AsyncSession, repo_ids: Collection[str]) -> dict[str, Popularity]:
    """The numbers of each repository."""
    columns = (downloads_of_repo, likes_of_repo, trending_of_repo())
    rows = await s.execute(sa.select(col(Repo.id), *columns).where(col(Repo.id).in_(repo_ids)))
    return {repo_id: Popularity(*numbers) for repo_id, *numbers in rows}


async def like(s: AsyncSession, repo: Repo, *, by: Principal) -> None:
    """Remember that `by` likes the repository; once is enough."""
    await insert_missing(s, RepoLike, [RepoLike(repo_id=repo.id, person_id=_person(by)).model_dump()])
    await _record(s, "repos:repo:like", repo, by=by)


async def unlike(s: AsyncSession, repo: Repo, *, by: Principal) -> None:
    """Forget it again."""
    await s.execute(sa.delete(RepoLike).where(col(RepoLike.repo_id) == repo.id, col(RepoLike.person_id) == _person(by)))
    await _record(s, "repos:repo:unlike", repo, by=by)


async def likers(s: AsyncSession, repo: Repo, *, after: str = "", limit: int = 100) -> list[Person]:
    """Who likes the repository, by id, `limit` people after the id `after`. People who were disabled are left out."""
    query = (
        sa.select(Person)
        .join(RepoLike, col(RepoLike.person_id) == col(Person.id))
        .where(col(RepoLike.repo_id) == repo.id, col(Person.id) > after, ~col(Person.is_disabled))
        .order_by(col(Person.id))
        .limit(limit)
    )
    return list(await s.scalars(query))


async def likes(s: AsyncSession, repo: Repo, *, by: Principal) -> bool:
    """Whether `by` likes the repository."""
    return by.person_id is not None and await s.get(RepoLike, (repo.id, by.person_id)) is not None


def liked_by(person_id: str) -> sa.ColumnElement[bool]:
    """A condition on Repo: this person likes it."""
    return col(Repo.id).in_(sa.select(col(RepoLike.repo_id)).where(col(RepoLike.person_id) == person_id))


async def count_downloads(s: AsyncSession) -> int:
    """Bring the counts up to date with the evidence; returns how many repositories had new downloads.

    A download is counted once for a person (all who are not signed in count as one), a commit and a path: reading a
    file in pieces, again, or through a cache that asks each time adds nothing.
    """
    # Ids sort by time; the writer may lag a little, so what was counted is never skipped but counted anew.
    newest = (
        sa.select(col(LedgerEvent.repo_id).label("repo_id"), sa.func.max(col(LedgerEvent.id)).label("newest"))
        .where(col(LedgerEvent.kind) == _DOWNLOAD, col(LedgerEvent.repo_id).is_not(None))
        .group_by(col(LedgerEvent.repo_id))
        .subquery()
    )
    behind = (
        sa.select(newest.c.repo_id, newest.c.newest)
        .join(Repo, col(Repo.id) == newest.c.repo_id)
        .outerjoin(DownloadCount, col(DownloadCount.repo_id) == newest.c.repo_id)
        .where(sa.or_(col(DownloadCount.counted_to).is_(None), col(DownloadCount.counted_to) < newest.c.newest))
    )
    rows = (await s.execute(behind)).all()
    for repo_id, event_id in rows:
        total = await _count(s, repo_id)
        await insert_missing(s, DownloadCount, [{"repo_id": repo_id, "total": 0, "counted_to": ""}])
        await s.execute(
            sa.update(DownloadCount)
            .where(col(DownloadCount.repo_id) == repo_id)
            .values(total=total, counted_to=event_id)
        )
    return len(rows)


async def _count(s: AsyncSession, repo_id: str) -> int:
    path = col(LedgerEvent.body)["path"].as_string()
    distinct = (
        sa.select(col(LedgerEvent.actor_id), col(LedgerEvent.subject_id), path)
        .where(col(LedgerEvent.kind) == _DOWNLOAD, col(LedgerEvent.repo_id) == repo_id)
        .distinct()
        .subquery()
    )
    return await s.scalar(sa.select(sa.func.count()).select_from(distinct)) or 0


def _person(by: Principal) -> str:
    if by.person_id is None:
        raise NotSignedIn("Only somebody who is signed in can like.", next_step="Sign in or send a token.")
    return by.person_id


async def _record(s: AsyncSession, kind: str, repo: Repo, *, by: Principal) -> None:
    await ledger.record(s, kind, actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body={})
