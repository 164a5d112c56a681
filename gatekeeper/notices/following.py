"""What people follow: a repository, or one discussion of it; and what they want to hear no more of."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Principal
from gatekeeper.errors import NotSignedIn
from gatekeeper.notices.tables import Following
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Repo

WHOLE = 0  # in place of a discussion's number: the repository with its new discussions and releases


@dataclass(frozen=True)
class Followed:
    """Something that a person follows; `num` is WHOLE for a repository."""

    repo: Repo
    num: int


async def follow(session: AsyncSession, repo: Repo, num: int = WHOLE, *, by: Principal) -> None:
    """From now on tell them what happens there."""
    await _choose(session, repo, num, is_on=True, by=by)


async def unfollow(session: AsyncSession, repo: Repo, num: int = WHOLE, *, by: Principal) -> None:
    """No more, also where they take part. A mention still reaches them."""
    await _choose(session, repo, num, is_on=False, by=by)


async def begin(session: AsyncSession, repo: Repo, num: int, person_id: str) -> None:
    """A person comes to follow a discussion by what happens in it, unless they chose already."""
    await insert_missing(session, Following, [Following(person_id=person_id, repo_id=repo.id, num=num).model_dump()])


async def choice(session: AsyncSession, repo: Repo, num: int, person_id: str | None) -> bool | None:
    """Whether they follow it; None where they never chose."""
    row = await session.get(Following, (person_id, repo.id, num)) if person_id else None
    return row.is_on if row is not None else None


async def followed(session: AsyncSession, person_id: str, *, limit: int = 100) -> list[Followed]:
    """What a person follows, latest first; whether they may still know of it is not decided here."""
    query = (
        sa.select(Repo, col(Following.num))
        .join(Repo, col(Repo.id) == col(Following.repo_id))
        .where(col(Following.person_id) == person_id, col(Following.is_on), col(Repo.deleted_at).is_(None))
        .order_by(col(Following.chosen_at).desc())
        .limit(limit)
    )
    return [Followed(repo, num) for repo, num in await session.execute(query)]


def followers(repo: Repo, num: int, *, is_on: bool = True) -> sa.Select[str]:
    """The ids of who follows it, or of who chose not to."""
    return sa.select(col(Following.person_id)).where(
        col(Following.repo_id) == repo.id, col(Following.num) == num, col(Following.is_on) == is_on
    )


async def _choose(session: AsyncSession, repo: Repo, num: int, *, is_on: bool, by: Principal) -> None:
    if by.person_id is None:
        raise NotSignedIn("Only people follow something.", next_step="Sign in first.")
    chosen = Following(person_id=by.person_id, repo_id=repo.id, num=num, is_on=is_on)
    await session.merge(chosen)
    await ledger.record(
        session,
        "notices:repo:follow" if is_on else "notices:repo:unfollow",
        actor=by.person_id,
        token=by.token_id,
        repo=repo.id,
        subject=repo.id,
        body={"num": num} if num else {},
    )
