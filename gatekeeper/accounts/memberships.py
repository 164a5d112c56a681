"""Which memberships count: where an organization asks for a second factor, those of people who have one."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.factors.tables import Passkey, Totp
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Organization, Person, Role
from gatekeeper.errors import Conflict, NotAllowed

# This room lies below `tokens`: the table is named, not imported. A service has no sign-in that a factor could guard.
_SERVICE = sa.table("service_account", sa.column("person_id"))


def counts() -> sa.ColumnElement[bool]:
    """A condition on Membership. INVARIANT: whatever gives a right for a membership asks this, too."""
    asks = sa.exists().where(col(Organization.id) == col(Membership.organization_id), col(Organization.asks_factor))
    return sa.or_(~asks.correlate(Membership), _has_factor())


async def administers(session: AsyncSession, organization: Organization, person_id: str | None) -> bool:
    """Whether the person is an administrator of the organization now, as the database has it."""
    found = await session.scalar(
        sa.select(col(Membership.id)).where(
            col(Membership.organization_id) == organization.id,
            col(Membership.person_id) == (person_id or ""),
            col(Membership.role) == Role.ADMIN,
            counts(),
        )
    )
    return found is not None


async def ask_factor(session: AsyncSession, organization: Organization, *, asks: bool, by: Principal) -> None:
    """Let memberships count only while their people have a second factor, or whoever has one; from the next request on.

    Raises NotAllowed unless `by` administrates the organization (or the hub) in person, Conflict for an administrator
    who would lose the organization by it.
    """
    if by.token_id is not None or not (by.is_admin or await administers(session, organization, by.person_id)):
        raise NotAllowed(
            f"Only an administrator of {organization.name} does this, signed in with a browser.",
            next_step="Ask one of its administrators.",
        )
    if asks and by.person_id in {person.id for person in await lacking(session, organization)}:
        raise Conflict("You have no second factor yourself.", next_step="Set one up first, under Account.")
    if asks != organization.asks_factor:
        organization.asks_factor = asks
        session.add(organization)
        await ledger.record(
            session,
            "accounts:organization:ask-factor",
            actor=by.person_id,
            subject=organization.id,
            body={"asks": asks},
        )


async def lacking(session: AsyncSession, organization: Organization) -> list[Person]:
    """Members without a second factor, by name."""
    rows = await session.scalars(
        sa.select(Person)
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .where(col(Membership.organization_id) == organization.id, ~_has_factor())
        .order_by(col(Person.name_key))
    )
    return list(rows)


async def asking(session: AsyncSession, person_id: str | None) -> list[Organization]:
    """Organizations of the person's that ask for a second factor, by name."""
    rows = await session.scalars(
        sa.select(Organization)
        .join(Membership, col(Membership.organization_id) == col(Organization.id))
        .where(col(Membership.person_id) == (person_id or ""), col(Organization.asks_factor))
        .order_by(col(Organization.name_key))
    )
    return list(rows)


def _has_factor() -> sa.ColumnElement[bool]:
    mine = col(Membership.person_id)
    app = sa.exists().where(col(Totp.person_id) == mine, col(Totp.confirmed_at).is_not(None))
    passkey = sa.exists().where(col(Passkey.person_id) == mine)
    service = sa.exists().select_from(_SERVICE).where(_SERVICE.c.person_id == mine)
    return sa.or_(*(each.correlate(Membership) for each in (app, passkey, service)))
