"""What was ordered: by a person, for them to see, and by an organization's people, for its administrators."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization, Person
from gatekeeper.generation import quota_changes, quotas
from gatekeeper.generation.quotas import Standing
from gatekeeper.generation.safety import Safety
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Stage
from gatekeeper.repos.tables import Repo

_MOST_MODELS = 20
DELIVERED = sa.func.json_array_length(col(Generation.image_sha256))

Where = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Sum:
    """Orders, the images that they delivered, and the seconds that were charged."""

    orders: int
    images: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """One order in a table. `model`: "" where whoever reads it need not know."""

    id: str
    person: str
    model: str
    commit: str
    stage: str
    state: GenerationState
    ordered: int | None
    delivered: int
    seconds: float
    started_at: datetime
    finished_at: datetime | None


def of_person(principal: Principal, since: datetime) -> Where:
    """The condition for orders of the principal that count for their quotas."""
    return sa.and_(col(Generation.person_id) == principal.person_id, _counted(since))


def of_people(organization: Organization, since: datetime) -> Where:
    """The condition for orders that count for the quota of an organization."""
    return sa.and_(quotas.by_people_of(organization), _counted(since))


async def by_day(session: AsyncSession, orders: Where) -> dict[date, Sum]:
    """The days (UTC) on which something was ordered."""
    parts = [sa.extract(part, col(Generation.started_at)) for part in ("year", "month", "day")]
    found = await _sums(session, orders, *parts)
    return {date(int(year), int(month), int(day)): each for (year, month, day), each in found}


async def by_member(session: AsyncSession, orders: Where) -> dict[str, Sum]:
    """The people who ordered, most images first."""
    return {name: each for (name,), each in await _sums(session, orders, col(Person.name))}


async def by_model(session: AsyncSession, orders: Where, owner: Organization) -> dict[str, Sum]:
    """The owner's models that were ordered from, most images first. Which ones of others, the owner need not know:
    they are in one sum, under ""."""
    is_own = col(Repo.owner_organization_id) == owner.id
    names = [sa.case((is_own, part), else_="") for part in (col(Repo.namespace), col(Repo.name))]
    return {"/".join(filter(None, name)): each for name, each in await _sums(session, orders, *names)}


async def lines(
    session: AsyncSession, orders: Where, *, limit: int, before: str | None = None, owner: Organization | None = None
) -> list[Line]:
    """The newest orders, or those before the one with that id.

    owner  for whom it is: they are told the names of their own models alone. None: for whoever ordered
    """
    order = Generation
    rows = await session.execute(
        sa.select(
            col(order.id),
            col(Person.name),
            Repo,
            col(order.commit_id),
            col(order.stage),
            col(order.state),
            col(order.settings)["images"].as_integer(),
            DELIVERED,
            col(order.charged_seconds),
            col(order.started_at),
            col(order.finished_at),
        )
        .join(Repo, col(Repo.id) == col(order.repo_id))
        .join(Person, col(Person.id) == col(order.person_id))
        .where(orders, col(order.id) < before if before else sa.true())
        .order_by(col(order.id).desc())
        .limit(limit)
    )
    return [
        Line(id, person, repo.full_name, commit, *rest)
        if owner is None or repo.owner_organization_id == owner.id
        else Line(id, person, "", "", *rest)
        for id, person, repo, commit, *rest in rows
    ]


async def standings(session: AsyncSession, principal: Principal, safety: Safety) -> list[Standing]:
    """How the principal stands with each quota: of the models that they used in the last 24 hours, each at the stage of
    their newest order, and in all."""
    newest = (
        sa.select(sa.func.max(col(Generation.id)))
        .where(of_person(principal, now() - quotas.WINDOW))
        .group_by(col(Generation.repo_id))
    )
    rows = await session.execute(
        sa.select(Repo, col(Generation.stage))
        .join(Generation, col(Generation.repo_id) == col(Repo.id))
        .where(col(Generation.id).in_(newest))
        .order_by(col(Generation.id).desc())
        .limit(_MOST_MODELS)
    )
    models = [(repo, safety.at(Stage(stage) if stage else None)) for repo, stage in rows]
    scopes = await quotas.scopes(session, principal, safety, models)
    return await quotas.standings(session, scopes)


async def standing_of(session: AsyncSession, organization: Organization, safety: Safety) -> Standing:
    """How the organization's people stand with what they may make together."""
    change = await quota_changes.change_of(session, organization)
    [standing] = await quotas.standings(session, [quotas.scope_of(organization, safety, change)])
    return standing


def _counted(since: datetime) -> Where:
    return sa.and_(col(Generation.is_evaluation).is_(False), col(Generation.started_at) > since)


async def _sums(
    session: AsyncSession, orders: Where, *by: sa.SQLColumnExpression[Any]
) -> list[tuple[tuple[Any, ...], Sum]]:
    """Sums by the values of columns, most images first."""
    images = sa.func.coalesce(sa.func.sum(DELIVERED), 0)
    seconds = sa.func.sum(col(Generation.charged_seconds))
    rows = await session.execute(
        sa.select(sa.func.count(), images, seconds, *by)
        .join(Repo, col(Repo.id) == col(Generation.repo_id))
        .join(Person, col(Person.id) == col(Generation.person_id))
        .where(orders)
        .group_by(*by)
        .order_by(images.desc(), *by)
    )
    return [(tuple(key), Sum(int(count), int(images), float(seconds))) for count, images, seconds, *key in rows]
