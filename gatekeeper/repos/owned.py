"""What repositories somebody has: how many, and the first of them by name."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.repos.tables import Repo

_NAMED = 10


@dataclass(frozen=True, slots=True)
class Owned:
    """Repositories of one owner; as text, "a, b and 3 more"."""

    count: int = 0
    first: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        more = self.count - len(self.first)
        return ", ".join(self.first) + (f" and {more:,} more" if more else "")


async def owned_by(session: AsyncSession, owner_id: str) -> Owned:
    """The repositories that a person or an organization has now."""
    theirs = sa.or_(col(Repo.owner_person_id) == owner_id, col(Repo.owner_organization_id) == owner_id)
    theirs = sa.and_(theirs, col(Repo.key).is_not(None))
    count = await session.scalar(sa.select(sa.func.count()).select_from(Repo).where(theirs)) or 0
    first = await session.scalars(sa.select(Repo).where(theirs).order_by(col(Repo.key)).limit(_NAMED)) if count else ()
    return Owned(count, tuple(repo.full_name for repo in first))
