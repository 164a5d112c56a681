"""Taking a name: no two owners share one, nor bear names that look alike."""

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel, col

from gatekeeper.accounts.names import check_name, fold, skeleton
from gatekeeper.accounts.tables import Namespace, Organization, Person
from gatekeeper.errors import Conflict, Invalid


async def find_namespace(session: AsyncSession, name: str) -> Namespace | None:
    """The owner of `name`, whatever its case; None if nobody has it."""
    return await session.get(Namespace, fold(name))


async def take(session: AsyncSession, owner: Person | Organization) -> None:
    """Insert `owner` with its namespace. Raises Invalid for a bad name, Conflict for a taken or look-alike one."""
    await _check(session, owner, owner.name)
    await insert(session, owner, otherwise=_taken(owner.name))
    await insert(session, _give(_space(owner.name), owner), otherwise=_taken(owner.name))


async def rename(session: AsyncSession, owner: Person | Organization, name: str) -> None:
    """Give `owner` another name. The one it had stays reserved: nobody else gets it, `owner` may have it again.

    Raises as `take` does, and Invalid for the name that it has.
    """
    if name == owner.name:
        raise Invalid(f"{name} is the present name.", next_step="Choose another name.")
    await _check(session, owner, name)
    await session.refresh(owner, with_for_update=True)  # two renamings at once would leave two names in force
    before = await session.get_one(Namespace, owner.name_key)
    owner.name, owner.name_key = name, fold(name)
    session.add(owner)
    if before.key != owner.name_key:
        before.person_id = before.organization_id = None
        before.former_owner_id = owner.id
        session.add(before)
    there = await session.get(Namespace, owner.name_key)
    if there is None:
        await insert(session, _give(_space(name), owner), otherwise=_taken(name))
    else:
        there.name = name
        session.add(_give(there, owner))


async def former_names(session: AsyncSession, owner_id: str) -> list[str]:
    """Names that a person or an organization had, by the alphabet."""
    query = sa.select(col(Namespace.name)).where(col(Namespace.former_owner_id) == owner_id)
    return list(await session.scalars(query.order_by(col(Namespace.key))))


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


async def _check(session: AsyncSession, owner: Person | Organization, name: str) -> None:
    """Whether `owner` may be called `name`, and no name that looks alike is or was anybody else's."""
    check_name(name)
    whose = sa.func.coalesce(
        col(Namespace.person_id), col(Namespace.organization_id), col(Namespace.former_owner_id), ""
    )
    alike = sa.select(col(Namespace.name)).where(col(Namespace.skeleton) == skeleton(name), whose != owner.id)
    if await session.scalar(alike.limit(1)) is not None:
        raise _taken(name)


def _space(name: str) -> Namespace:
    return Namespace(key=fold(name), name=name, skeleton=skeleton(name))


def _give(space: Namespace, owner: Person | Organization) -> Namespace:
    space.former_owner_id = None
    if isinstance(owner, Person):
        space.person_id = owner.id
    else:
        space.organization_id = owner.id
    return space


def _taken(name: str) -> Conflict:
    return Conflict(f"The name {name} is taken, or too like one that is.", next_step="Choose another name.")
