"""Organizations: namespaces shared by several people, each with a role."""

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import memberships, namespaces
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Organization, Person, Role
from gatekeeper.accounts.team_tables import MembershipOffer, Team
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.paging import Page, page_of


async def create(session: AsyncSession, name: str, *, by: Principal, fullname: str = "") -> Organization:
    """A new organization, with `by` as its first administrator if `by` is a person.

    Raises Invalid for a bad name, Conflict for a taken one, NotAllowed for an anonymous caller.
    """
    if not by.is_signed_in and not by.is_admin:
        raise NotAllowed("Only people who are signed in create organizations.", next_step="Sign in.")
    if len(fullname) > 120 or not fullname.isprintable():
        raise Invalid("A full name has at most 120 printable characters.", next_step="Shorten it.")
    organization = Organization(name=name, name_key=fold(name), fullname=fullname.strip())
    await namespaces.take(session, organization)
    if by.person_id is not None:
        session.add(Membership(organization_id=organization.id, person_id=by.person_id, role=Role.ADMIN))
    await _record(session, "accounts:organization:create", organization, by=by)
    return organization


async def find(session: AsyncSession, name: str) -> Organization | None:
    """The organization with this name, whatever its case."""
    return await session.scalar(
        sa.select(Organization).where(col(Organization.name_key) == fold(name), col(Organization.deleted_at).is_(None))
    )


async def rename(session: AsyncSession, organization: Organization, name: str, *, by: Principal) -> None:
    """Call it `name`; what is called after it follows in `gatekeeper.owners`. Raises as `create` does."""
    await require_admin(session, organization, by=by)
    await namespaces.rename(session, organization, name)
    await _record(session, "accounts:organization:rename", organization, by=by)


async def close(session: AsyncSession, organization: Organization, *, by: Principal) -> None:
    """End its memberships, teams and invitations, and the organization; for what other rooms keep of it see
    `gatekeeper.owners`. Raises NotAllowed.
    """
    await require_admin(session, organization, by=by)
    for table in (MembershipOffer, Team, Membership):
        await session.execute(sa.delete(table).where(col(table.organization_id) == organization.id))
    await namespaces.reserve(session, organization)
    organization.deleted_at = now()
    session.add(organization)
    await _record(session, "accounts:organization:delete", organization, by=by)


async def add_member(
    session: AsyncSession,
    organization: Organization,
    person: Person,
    role: Role,
    *,
    by: Principal,
    is_safety: bool | None = None,
) -> Membership:
    """Give `person` a role in `organization`, or change the one they have.

    is_safety  whether they are in its safety team; None leaves that as it is

    Raises NotAllowed unless `by` administrates the organization (or the hub), Conflict when its last administrator
    would be lost.
    """
    await require_admin(session, organization, by=by)
    role = Role(role)
    member = await membership(session, organization, person.id)
    if member is None:
        member = Membership(organization_id=organization.id, person_id=person.id, role=role)
        await namespaces.insert(session, member, otherwise=_already(person))
    else:
        if role is not Role.ADMIN:
            await _keep_an_admin(session, organization, member)
        member.role = role
    member.is_safety = member.is_safety if is_safety is None else is_safety
    session.add(member)
    body = {"person": person.id, "role": role.value, "is_safety": member.is_safety}
    await _record(session, "accounts:organization:set-member", organization, by=by, body=body)
    return member


async def remove_member(session: AsyncSession, organization: Organization, person: Person, *, by: Principal) -> None:
    """Take `person` out of `organization`; people may always leave by themselves.

    Raises NotFound when they are no member, Conflict for the last administrator.
    """
    if by.person_id != person.id:
        await require_admin(session, organization, by=by)
    member = await membership(session, organization, person.id)
    if member is None:
        raise NotFound(f"{person.name} is no member of {organization.name}.", next_step="Look at the list of members.")
    await _keep_an_admin(session, organization, member)
    await session.delete(member)
    await _record(session, "accounts:organization:remove-member", organization, by=by, body={"person": person.id})


async def members(session: AsyncSession, organization: Organization) -> list[tuple[Person, Role]]:
    """Who belongs to `organization`, by name."""
    rows = await session.execute(
        sa.select(Person, col(Membership.role))
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .where(col(Membership.organization_id) == organization.id)
        .order_by(col(Person.name_key))
    )
    return [(person, role) for person, role in rows]


async def members_named(
    session: AsyncSession, organization: Organization, *, begins: str = "", after: str = "", limit: int
) -> Page[tuple[Person, Membership]]:
    """A page of who belongs to `organization`, by name: whose name begins so, after the name `after`."""
    key = col(Person.name_key)
    rows = await session.execute(
        sa.select(Person, Membership)
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .where(col(Membership.organization_id) == organization.id)
        .where(key > fold(after), key.startswith(fold(begins), autoescape=True))
        .order_by(key)
        .limit(limit + 1)
    )
    return page_of([(person, held) for person, held in rows], limit=limit, key=lambda member: member[0].name)


async def memberships_in(
    session: AsyncSession, organizations: Iterable[Organization], *, first_id: str, most: int
) -> dict[str, list[tuple[Person, Membership]]]:
    """Who belongs to each of `organizations`, by its id: `most` of each, the person `first_id` first, then by name."""
    order = ((col(Person.id) == first_id).desc(), col(Person.name_key))
    place = sa.func.row_number().over(partition_by=col(Membership.organization_id), order_by=order)
    first = (
        sa.select(col(Membership.id), place.label("place"))
        .join(Person, col(Membership.person_id) == col(Person.id))
        .where(col(Membership.organization_id).in_([each.id for each in organizations]))
        .subquery()
    )
    rows = await session.execute(
        sa.select(Person, Membership)
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .join(first, first.c.id == col(Membership.id))
        .where(first.c.place <= most)
        .order_by(first.c.place)
    )
    found = defaultdict[str, list[tuple[Person, Membership]]](list)
    for person, held in rows:
        found[held.organization_id].append((person, held))
    return found


async def organizations_of(session: AsyncSession, person_id: str) -> list[tuple[Organization, Role]]:
    """Where a person belongs and that counts, by name."""
    rows = await session.execute(
        sa.select(Organization, col(Membership.role))
        .join(Membership, col(Membership.organization_id) == col(Organization.id))
        .where(col(Membership.person_id) == person_id, memberships.counts())
        .order_by(col(Organization.name_key))
    )
    return [(organization, role) for organization, role in rows]


async def require_admin(session: AsyncSession, organization: Organization, *, by: Principal) -> None:
    """Raises NotAllowed unless `by` administrates the organization, or the hub."""
    # Asked of the database, not of the principal: the role may have been lost since the request began.
    if by.is_admin:
        return
    if not await memberships.administers(session, organization, by.person_id):
        raise NotAllowed(
            f"Only an administrator of {organization.name} may change its members.",
            next_step="Ask one of its administrators.",
        )


async def _keep_an_admin(session: AsyncSession, organization: Organization, leaving: Membership) -> None:
    # The organization's own row is locked first, or two administrators who leave at once would both see the other.
    await session.execute(
        sa.select(col(Organization.id)).where(col(Organization.id) == organization.id).with_for_update()
    )
    others = sa.select(sa.func.count()).where(
        col(Membership.organization_id) == organization.id,
        col(Membership.role) == Role.ADMIN,
        col(Membership.id) != leaving.id,
    )
    if leaving.role is Role.ADMIN and not await session.scalar(others):
        raise Conflict(
            f"{organization.name} would have no administrator left.", next_step="Name another administrator first."
        )


async def membership(session: AsyncSession, organization: Organization, person_id: str) -> Membership | None:
    """A person's membership, None if they have none."""
    return await session.scalar(
        sa.select(Membership).where(
            col(Membership.organization_id) == organization.id, col(Membership.person_id) == person_id
        )
    )


async def _record(
    session: AsyncSession,
    kind: str,
    organization: Organization,
    *,
    by: Principal,
    body: dict[str, str | bool] | None = None,
) -> None:
    await ledger.record(
        session, kind, actor=by.person_id, token=by.token_id, subject=organization.id, body=dict(body or {})
    )


def _already(person: Person) -> Conflict:
    return Conflict(f"{person.name} was added at the same moment.", next_step="Look at the list of members.")
