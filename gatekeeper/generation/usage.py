"""What was ordered: by a person, for them to see, and by an organization's people, for its administrators."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization, Person
from gatekeeper.generation import quota_changes, quotas
from gatekeeper.generation.quotas import Standing
from gatekeeper.generation.safety import Safety
from gatekeeper.generation.tables import Generation
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Repo

_MOST = 10_000
_MOST_MODELS = 20


async def orders_since(session: AsyncSession, principal: Principal, instant: datetime) -> list[tuple[Generation, str]]:
    """The principal's orders with the names of their models, newest first, at most 10,000."""
    rows = await session.execute(
        sa.select(Generation, Repo)
        .join(Repo, col(Repo.id) == col(Generation.repo_id))
        .where(col(Generation.person_id) == principal.person_id, col(Generation.started_at) > instant)
        .order_by(col(Generation.id).desc())
        .limit(_MOST)
    )
    return [(made, repo.full_name) for made, repo in rows]


async def standings(session: AsyncSession, principal: Principal, safety: Safety) -> list[Standing]:
    """How the principal stands with each quota: of the models that they used in the last 24 hours, and in all."""
    last = sa.func.max(col(Generation.started_at))
    rows = await session.execute(
        sa.select(Repo, sa.func.max(col(Generation.stage)))
        .join(Generation, col(Generation.repo_id) == col(Repo.id))
        .where(col(Generation.person_id) == principal.person_id, col(Generation.started_at) > now() - quotas.WINDOW)
        .group_by(col(Repo.id))
        .order_by(last.desc())
        .limit(_MOST_MODELS)
    )
    models = [(repo, safety.at(Stage(stage) if stage else None)) for repo, stage in rows]
    scopes = await quotas.scopes(session, principal, safety, models)
    return await quotas.standings(session, scopes)


@dataclass(frozen=True, slots=True)
class Ordered:
    """One order of an organization's people.

    model  only of the organization's own; whoever manages it need not know what else its people may use
    """

    made: Generation
    person: str
    model: str


async def orders_of(session: AsyncSession, organization: Organization, instant: datetime) -> list[Ordered]:
    """What counts for the organization's quota since then, newest first, at most 10,000."""
    people = quotas.by_people_of(organization)
    rows = await session.execute(
        sa.select(Generation, col(Person.name), Repo)
        .join(Repo, col(Repo.id) == col(Generation.repo_id))
        .join(Person, col(Person.id) == col(Generation.person_id))
        .where(people, col(Generation.is_evaluation).is_(False), col(Generation.started_at) > instant)
        .order_by(col(Generation.id).desc())
        .limit(_MOST)
    )
    return [
        Ordered(made, name, repo.full_name if repo.owner_organization_id == organization.id else "")
        for made, name, repo in rows
    ]


async def standing_of(session: AsyncSession, organization: Organization, safety: Safety) -> Standing:
    """How the organization's people stand with what they may make together."""
    change = await quota_changes.change_of(session, organization)
    [standing] = await quotas.standings(session, [quotas.scope_of(organization, safety, change)])
    return standing
