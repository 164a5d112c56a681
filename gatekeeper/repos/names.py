"""Names of repositories that were moved: they lead to the repository until another one has them."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos.paths import is_lookup
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo, RepoKind, RepoRedirect

NOUNS = {RepoKind.MODEL: "model", RepoKind.DATASET: "dataset", RepoKind.SPACE: "space"}


def key_of(kind: RepoKind, full_name: str) -> str:
    """A name as it is looked up: with its kind, in lower case."""
    return f"{kind.value}/{full_name}".lower()


async def find_by_any_name(s: AsyncSession, kind: RepoKind, full_name: str) -> Repo | None:
    """The repository that has this name, or else had it; its `key` then is not `key_of(kind, full_name)`.

    One query for both, so that the time does not tell them apart. Whoever is told of a repository by an old name learns
    the new one: only for callers who may know it.
    """
    key = key_of(kind, full_name)
    if not is_lookup(key, limit=160):
        return None
    had = sa.select(col(RepoRedirect.repo_id)).where(col(RepoRedirect.key) == key)
    query = sa.select(Repo).where(sa.or_(col(Repo.key) == key, col(Repo.id).in_(had)), col(Repo.key).is_not(None))
    found = (await s.scalars(query)).all()
    return next((repo for repo in found if repo.key == key), found[0] if found else None)


async def leave(s: AsyncSession, repo: Repo, key: str) -> None:
    """Let `key`, which the repository just gave up, lead to it."""
    await insert_missing(s, RepoRedirect, [RepoRedirect(key=key, repo_id=repo.id).model_dump()])


async def reuse(s: AsyncSession, repo: Repo) -> None:
    """The repository has its name from now on: it leads nowhere else."""
    await s.execute(sa.delete(RepoRedirect).where(col(RepoRedirect.key) == repo.key))


async def forget(s: AsyncSession, repo: Repo) -> None:
    """No name leads to the repository any more."""
    await s.execute(sa.delete(RepoRedirect).where(col(RepoRedirect.repo_id) == repo.id))
