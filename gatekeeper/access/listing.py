"""Who holds what: grants that have not ended, over many repositories, chosen by what matters to their reviewers."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.paging import Page, page_of
from gatekeeper.repos.tables import Repo


@dataclass(frozen=True, slots=True)
class Held:
    """A grant with whose it is and what for."""

    grant: AccessGrant
    person: Person
    repo: Repo


async def grants_held(
    session: AsyncSession,
    *,
    at: datetime,
    where: tuple[sa.ColumnElement[bool], ...],
    ends_before: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[Held]:
    """Grants that have not ended at `at`, suspended ones too, the oldest first.

    where        conditions on Repo and Person, such as `authz.listing_filter`; each row that is shown is decided again
    ends_before  only those that end by then
    """
    query = (
        sa.select(AccessGrant, Person, Repo)
        .join(Person, col(Person.id) == col(AccessGrant.person_id))
        .join(Repo, col(Repo.id) == col(AccessGrant.repo_id))
        .where(
            col(AccessGrant.revoked_at).is_(None),
            sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > at),
            col(Repo.deleted_at).is_(None),
            *where,
        )
        .order_by(col(AccessGrant.id))
    )
    if ends_before is not None:
        query = query.where(col(AccessGrant.ends_at) <= ends_before)
    if after:
        query = query.where(col(AccessGrant.id) > after)
    rows = [Held(*row) for row in (await session.execute(query.limit(limit + 1))).all()]
    return page_of(rows, limit=limit, key=lambda held: held.grant.id)
