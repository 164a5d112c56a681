"""What administrators allow one person, or the people of one organization, instead of the policy's numbers."""

from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Organization, Person
from gatekeeper.generation.safety import LEAST_WEIGHT, MOST_WEIGHT, Change, SafetyLevel
from gatekeeper.generation.tables import QuotaChange
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import Page, page_of

_MOST = 10**6


async def changes_for(session: AsyncSession, principal: Principal) -> dict[str, Change]:
    """What was changed for the person and for their organizations, by id."""
    of_these = sa.or_(
        col(QuotaChange.person_id) == principal.person_id,
        col(QuotaChange.organization_id).in_(principal.organizations),
    )
    rows = await session.scalars(sa.select(QuotaChange).where(of_these))
    return {row.person_id or row.organization_id or "": _change(row) for row in rows}


async def change_of(session: AsyncSession, organization: Organization) -> Change | None:
    """What was changed for an organization's people, if anything."""
    row = await session.scalar(sa.select(QuotaChange).where(col(QuotaChange.organization_id) == organization.id))
    return _change(row) if row is not None else None


def weight_of(change: Change | None, level: SafetyLevel) -> float:
    """How a person's order counts where there is not enough for all: the stage's weight times their own."""
    own = change.weight if change else None
    return min(max(level.weight * (own or 1.0), LEAST_WEIGHT), MOST_WEIGHT)


async def list_changes(
    session: AsyncSession, *, begins: str = "", after: str = "", limit: int = 50
) -> Page[tuple[QuotaChange, str]]:
    """Changes with the name that each is about, by name: those whose name begins so, after the name `after`."""
    key = sa.func.coalesce(col(Person.name_key), col(Organization.name_key))
    rows = await session.execute(
        sa.select(QuotaChange, sa.func.coalesce(Person.name, Organization.name))
        .outerjoin(Person, col(Person.id) == col(QuotaChange.person_id))
        .outerjoin(Organization, col(Organization.id) == col(QuotaChange.organization_id))
        .where(key > fold(after), key.startswith(fold(begins), autoescape=True))
        .order_by(key)
        .limit(limit + 1)
    )
    return page_of([(row, str(name)) for row, name in rows], limit=limit, key=lambda change: change[1])


async def change_quota(
    session: AsyncSession, subject: Person | Organization, change: Change, *, reason: str, by: Principal
) -> None:
    """Have other numbers hold for a person or an organization's people; a change without numbers ends the earlier one.

    Raises Invalid for a number that means nothing, or a change without a reason.
    """
    numbers = {name: value for name, value in asdict(change).items() if value is not None}
    for name, value in numbers.items():
        least, most = (LEAST_WEIGHT, MOST_WEIGHT) if name == "weight" else (0, _MOST)
        if not least <= value <= most:
            raise errors.Invalid(
                f"{name} is {value}.",
                status=422,
                next_step=f"Give a number from {least} to {most}.",
                details={"field": name},
            )
    if change.weight is not None and not isinstance(subject, Person):
        raise errors.Invalid(
            "Only a person has a weight.", status=422, next_step="Leave it out.", details={"field": "weight"}
        )
    if not reason.strip():
        raise errors.Invalid(
            "A reason is missing.", status=422, next_step="Say why; it is recorded.", details={"field": "reason"}
        )
    column = QuotaChange.person_id if isinstance(subject, Person) else QuotaChange.organization_id
    row = await session.scalar(sa.select(QuotaChange).where(col(column) == subject.id).with_for_update())
    before = asdict(_change(row)) if row is not None else None
    if row is not None:
        await session.delete(row)
        await session.flush()  # its place is taken by the next one
    if numbers:
        row = QuotaChange(**asdict(change), reason=reason.strip()[:500], changed_at=now())
        if isinstance(subject, Person):
            row.person_id = subject.id
        else:
            row.organization_id = subject.id
        session.add(row)
    await ledger.record(
        session,
        "generation:quota:change",
        actor=by.person_id,
        subject=subject.id,
        body={"before": before, "after": asdict(change) if numbers else None, "reason": reason.strip()[:500]},
    )


def _change(row: QuotaChange) -> Change:
    return Change(row.images_per_day, row.compute_seconds_per_day, row.concurrency, row.weight)
