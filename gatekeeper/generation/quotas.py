"""How much may be made: of one model by one person, by a person, by the people of an organization, in any 24 hours.

An order reserves images and compute seconds when it is let in and is settled when it ends, in the transaction that
records the end. Whoever counts holds the rows of the person and of their organizations, so two at once cannot both
pass: SQLite has one writer anyway, elsewhere these rows are the lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Organization, Person
from gatekeeper.generation.quota_changes import changes_for
from gatekeeper.generation.safety import Budget, Change, Safety, SafetyLevel
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.kit.figures import duration_text, plural
from gatekeeper.repos.tables import Repo

WINDOW = timedelta(hours=24)
_BUSY_SECONDS = 10
_COUNTED = col(Generation.is_evaluation).is_(False)  # evaluations wait behind everybody instead


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose orders are counted together, and how much they may be.

    who, where  words for sentences: "You", " of lab/emoji"
    orders      the condition that finds them
    """

    who: str
    where: str
    budget: Budget
    orders: sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a scope has used, reservations included."""

    scope: Scope
    images: int
    seconds: float
    running: int

    @property
    def images_left(self) -> int:
        """Images that may still be ordered."""
        return max(self.scope.budget.images_per_day - self.images, 0)


async def lock(session: AsyncSession, principal: Principal) -> None:
    """Hold the rows by which orders of this person are counted, until the transaction ends."""
    if session.get_bind().dialect.name == "sqlite":
        return  # the transaction is the only one that writes
    await session.execute(sa.select(col(Person.id)).where(col(Person.id) == principal.person_id).with_for_update())
    ids = sorted(principal.organizations)
    # In one order, so that two never wait for each other in a circle.
    query = sa.select(col(Organization.id)).where(col(Organization.id).in_(ids)).order_by(col(Organization.id))
    if ids:
        await session.execute(query.with_for_update())


async def scopes(
    session: AsyncSession,
    principal: Principal,
    safety: Safety,
    models: Sequence[tuple[Repo, SafetyLevel]],
    *,
    changes: Mapping[str, Change] | None = None,
) -> list[Scope]:
    """Everything that limits this person's orders: of each of the models at its level, their own, their organizations'.

    What an administrator changed for a person replaces their own numbers, and raises those of a stage that are lower.
    changes  the same, where it was read already
    """
    if changes is None:
        changes = await changes_for(session, principal)
    person_id = principal.person_id or ""
    mine = col(Generation.person_id) == person_id
    own = changes.get(person_id)
    found = [
        Scope(
            "You",
            f" of {repo.full_name}",
            level.budget.raised_by(own) if own else level.budget,
            sa.and_(mine, col(Generation.repo_id) == repo.id),
        )
        for repo, level in models
    ]
    found.append(Scope("You", " on this hub", safety.person.replaced_by(own) if own else safety.person, mine))
    names = sa.select(Organization).where(col(Organization.id).in_(principal.organizations))
    for organization in await session.scalars(names.order_by(col(Organization.id))) if principal.organizations else ():
        found.append(scope_of(organization, safety, changes.get(organization.id)))
    return found


def scope_of(organization: Organization, safety: Safety, change: Change | None) -> Scope:
    """What limits the orders of an organization's people together."""
    budget = safety.organization.replaced_by(change) if change else safety.organization
    return Scope(f"The people of {organization.name}", " on this hub", budget, by_people_of(organization))


def by_people_of(organization: Organization) -> sa.ColumnElement[bool]:
    """The condition that finds the orders of an organization's people."""
    people = sa.select(col(Membership.person_id)).where(col(Membership.organization_id) == organization.id)
    return col(Generation.person_id).in_(people)


async def standings(session: AsyncSession, scopes: Sequence[Scope], *, at: datetime | None = None) -> list[Standing]:
    """What was made and is being made within each scope; one statement for all of them."""
    is_running = col(Generation.state) == GenerationState.RUNNING
    recent = col(Generation.started_at) > (at or now()) - WINDOW
    counts = [
        sa.select(
            sa.literal(place),
            sa.func.coalesce(sa.func.sum(sa.case((recent, Generation.charged_images), else_=0)), 0),
            sa.func.coalesce(sa.func.sum(sa.case((recent, Generation.charged_seconds), else_=0.0)), 0.0),
            sa.func.coalesce(sa.func.sum(sa.case((is_running, 1), else_=0)), 0),
        ).where(scope.orders, _COUNTED, sa.or_(recent, is_running))
        for place, scope in enumerate(scopes)
    ]
    rows = sorted((await session.execute(sa.union_all(*counts))).all()) if counts else []
    return [
        Standing(scope, int(images), float(seconds), int(running))
        for scope, (_, images, seconds, running) in zip(scopes, rows, strict=True)
    ]


async def reserve(session: AsyncSession, scopes: Sequence[Scope], *, images: int, seconds: float, at: datetime) -> None:
    """See that every scope has room for an order.

    Raises TooMany that says when to come back and of what there is too much, Invalid for what will never fit.
    """
    for scope in scopes:
        _require_fit(scope, images=images, seconds=seconds)
    for stands in await standings(session, scopes, at=at):
        await _require_room(session, stands, images=images, seconds=seconds, at=at)


async def _require_room(session: AsyncSession, stands: Standing, *, images: int, seconds: float, at: datetime) -> None:
    scope, budget = stands.scope, stands.scope.budget
    if stands.running >= budget.concurrency:
        verb = "is" if stands.running == 1 else "are"
        whose = "your orders" if scope.who == "You" else f"the orders of {scope.who[0].lower()}{scope.who[1:]}"
        raise errors.TooMany(
            f"{stands.running} of {whose}{scope.where} {verb} being made; more do not run at once.",
            next_step="Wait for one of them, or cancel it.",
            details={
                "retry_after_seconds": _BUSY_SECONDS,
                "kind": "orders",
                "limit": budget.concurrency,
                "remaining": 0,
            },
        )
    if images > stands.images_left:
        wait = await _wait(session, scope, col(Generation.charged_images), budget.images_per_day - images, at)
        less = f"Ask for at most {stands.images_left} now, or come" if stands.images_left else "Come"
        raise errors.TooMany(
            f"{scope.who} may make {plural(budget.images_per_day, 'image')}{scope.where} in 24 hours and have made "
            f"{stands.images:,}.",
            next_step=f"{less} back in {_readable(wait)}.",
            details=_of_window("images", wait, budget.images_per_day, stands.images_left),
        )
    if stands.seconds + seconds > budget.compute_seconds_per_day:
        room = budget.compute_seconds_per_day - seconds
        wait = await _wait(session, scope, col(Generation.charged_seconds), room, at)
        left = max(int(budget.compute_seconds_per_day - stands.seconds), 0)
        raise errors.TooMany(
            f"{scope.who} may use {duration_text(budget.compute_seconds_per_day)} of computing{scope.where} in 24 "
            f"hours; {duration_text(stands.seconds)} are used or reserved, and this order needs about "
            f"{duration_text(seconds)}.",
            next_step=f"Ask for fewer steps or images, or come back in {_readable(wait)}.",
            details=_of_window("compute_seconds", wait, budget.compute_seconds_per_day, left),
        )


def _require_fit(scope: Scope, *, images: int, seconds: float) -> None:
    """Refuse an order that is larger than the whole budget: for it there is no time to come back."""
    budget = scope.budget
    if not all((budget.images_per_day, budget.compute_seconds_per_day, budget.concurrency)):
        raise _never(f"{scope.who} may make no images{scope.where}.", "Ask the hub's administrator for a quota.")
    if images > budget.images_per_day:
        raise _never(
            f"{scope.who} may make {plural(budget.images_per_day, 'image')}{scope.where} in 24 hours, and this order "
            f"asks for {images}.",
            f"Ask for at most {budget.images_per_day}.",
        )
    if seconds > budget.compute_seconds_per_day:
        fitting = int(images * budget.compute_seconds_per_day / seconds)
        raise _never(
            f"{scope.who} may use {duration_text(budget.compute_seconds_per_day)} of computing{scope.where} in 24 "
            f"hours, and this order alone needs about {duration_text(seconds)}.",
            f"Ask for at most {plural(fitting, 'such image')}."
            if fitting
            else "Ask for fewer steps or a smaller size.",
        )


def _never(message: str, next_step: str) -> errors.Invalid:
    return errors.Invalid(message, status=422, next_step=next_step, code="BeyondQuota")


def _of_window(kind: str, wait: int, limit: int, remaining: int) -> dict[str, Any]:
    window = {"window_seconds": int(WINDOW.total_seconds())}
    return {"retry_after_seconds": wait, "kind": kind, "limit": limit, "remaining": remaining, **window}


async def _wait(session: AsyncSession, scope: Scope, charged: Mapped[Any], room: float, at: datetime) -> int:
    """Seconds until what is still counted is at most `room`."""
    since = at - WINDOW
    rows = await session.execute(
        sa.select(col(Generation.started_at), charged)
        .where(scope.orders, _COUNTED, col(Generation.started_at) > since, charged > 0)
        .order_by(col(Generation.started_at))
    )
    pairs = [(started_at, float(amount)) for started_at, amount in rows]
    left = sum(amount for _, amount in pairs)
    for started_at, amount in pairs:
        left -= amount
        if left <= room:
            return int((started_at - since).total_seconds()) + 1
    return int(WINDOW.total_seconds())


def _readable(seconds: int) -> str:
    """Rounded up, so that who comes back then does not come too early."""
    return duration_text(seconds if seconds < 120 else -(-seconds // 60) * 60)
