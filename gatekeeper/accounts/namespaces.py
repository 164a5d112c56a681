"""Taking a name: no two owners share one, nor bear names that look alike."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from gatekeeper.accounts.names import check_name, fold, skeleton
from gatekeeper.accounts.tables import Namespace, Organization, Person
from gatekeeper.errors import Conflict


async def find_namespace(session: AsyncSession, name: str) -> Namespace | None:
    """The owner of `name`, whatever its case; None if nobody has it."""
    return await session.get(Namespace, fold(name))


async def take(session: AsyncSession, owner: Person | Organization) -> None:
    """Insert `owner` with its namespace. Raises Invalid for a bad name, Conflict for a taken or look-alike one."""
    name = check_name(owner.name)
    alike = await session.scalar(
        sa.select(col(Namespace.name)).where(col(Namespace.skeleton) == skeleton(name)).limit(1)
    )
    if alike is not None:
        raise _taken(name)
    is_person = isinstance(owner, Person)
    await insert(session, owner, otherwise=_taken(name))
    space = Namespace(
        key=fold(name),
        name=name,
        skeleton=skeleton(name),
        person_id=owner.id if is_person else None,
        organization_id=None if is_person else owner.id,
    )
    await insert(session, space, otherwise=_taken(name))


async def rename(session: AsyncSession, organization: Organization, name: str) -> None:
    """Give the organization another name; the one it had is nobody's from now on. Raises as `take` does."""
    name = check_name(name)
    alike = await session.scalar(
        sa.select(col(Namespace.name))
        .where(
            col(Namespace.skeleton) == skeleton(name),
            col(Namespace.organization_id).is_distinct_from(organization.id),
        )
        .limit(1)
    )
    if alike is not None:
        raise _taken(name)
    before = await session.get_one(Namespace, organization.name_key)
    organization.name, organization.name_key = name, fold(name)
    session.add(organization)
    if before.key == organization.name_key:
        before.name = name
        session.add(before)
        return
    before.organization_id = None
    session.add(before)
    space = Namespace(key=fold(name), name=name, skeleton=skeleton(name), organization_id=organization.id)
    await insert(session, space, otherwise=_taken(name))


async def reserve(session: AsyncSession, organization: Organization) -> None:
    """Its name is nobody's from now on."""
    space = await session.get_one(Namespace, organization.name_key)
    space.organization_id = None
    session.add(space)


async def insert(session: AsyncSession, row: SQLModel, *, otherwise: Conflict) -> None:
    """Add `row` now, so that somebody who was faster is a Conflict and not a broken transaction."""
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        raise otherwise from error


def _taken(name: str) -> Conflict:
    return Conflict(f"The name {name} is taken, or too like one that is.", next_step="Choose another name.")
