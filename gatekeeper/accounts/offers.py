"""Invitations into an organization: somebody with an account is asked, and says yes or no."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import memberships, namespaces, organizations
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Organization, Person, Role
from gatekeeper.accounts.team_tables import MembershipOffer
from gatekeeper.errors import Conflict, NotAllowed, NotFound
from gatekeeper.kit.clock import now

LIFE_DAYS = 14


async def make(
    session: AsyncSession,
    organization: Organization,
    person: Person,
    role: Role,
    *,
    by: Principal,
    is_safety: bool = False,
) -> MembershipOffer:
    """Ask `person` to join; a newer invitation takes the place of one before.

    is_safety  they are asked into its safety team as well

    Raises NotAllowed unless `by` administrates the organization (or the hub), Conflict for a member.
    """
    await organizations.require_admin(session, organization, by=by)
    if by.person_id is None:
        raise NotAllowed("People are invited by people.", next_step="Add the member with `gatekeeper orgs member`.")
    if await organizations.membership(session, organization, person.id) is not None:
        raise Conflict(f"{person.name} is a member of {organization.name} already.", next_step="Change the role.")
    await _forget(session, organization.id, person.id)
    offer = MembershipOffer(
        organization_id=organization.id,
        person_id=person.id,
        role=Role(role),
        is_safety=is_safety,
        offered_by=by.person_id,
        expires_at=now() + timedelta(days=LIFE_DAYS),
    )
    invited = Conflict(f"{person.name} was invited at the same moment.", next_step="Look at the list.")
    await namespaces.insert(session, offer, otherwise=invited)
    await _record(session, "accounts:invitation:offer", offer, by=by)
    return offer


async def accept(session: AsyncSession, offer_id: str, *, by: Principal) -> Membership:
    """Join, as one was invited to.

    Raises NotFound for an invitation that is not the caller's, is over, or whose maker could not make it any more.
    """
    offer = await _own(session, offer_id, by=by)
    organization = await session.get_one(Organization, offer.organization_id)
    if not await _stands(session, offer.offered_by, organization):
        raise _over()
    await session.delete(offer)
    member = Conflict(f"You are a member of {organization.name} already.", next_step="Look at your organizations.")
    membership = Membership(
        organization_id=organization.id, person_id=offer.person_id, role=offer.role, is_safety=offer.is_safety
    )
    await namespaces.insert(session, membership, otherwise=member)
    await _record(session, "accounts:invitation:accept", offer, by=by)
    return membership


async def decline(session: AsyncSession, offer_id: str, *, by: Principal) -> None:
    """Say no. Raises NotFound for an invitation that is not the caller's, or is over."""
    offer = await _own(session, offer_id, by=by)
    await session.delete(offer)
    await _record(session, "accounts:invitation:decline", offer, by=by)


async def withdraw(session: AsyncSession, organization: Organization, offer_id: str, *, by: Principal) -> None:
    """Take an invitation back. Raises NotAllowed unless `by` administrates the organization, NotFound."""
    await organizations.require_admin(session, organization, by=by)
    offer = await session.get(MembershipOffer, offer_id)
    if offer is None or offer.organization_id != organization.id:
        raise _over()
    await session.delete(offer)
    await _record(session, "accounts:invitation:withdraw", offer, by=by)


async def waiting_for(session: AsyncSession, person_id: str) -> list[tuple[MembershipOffer, Organization]]:
    """What a person is asked into, newest first."""
    rows = await session.execute(
        sa.select(MembershipOffer, Organization)
        .join(Organization, col(Organization.id) == col(MembershipOffer.organization_id))
        .where(col(MembershipOffer.person_id) == person_id, col(MembershipOffer.expires_at) > now())
        .order_by(col(MembershipOffer.created_at).desc())
    )
    return [(offer, organization) for offer, organization in rows]


async def of(
    session: AsyncSession, organizations: Iterable[Organization]
) -> dict[str, list[tuple[MembershipOffer, Person]]]:
    """Who is asked into each of `organizations` and has not answered, by its id; people by name."""
    rows = await session.execute(
        sa.select(MembershipOffer, Person)
        .join(Person, col(Person.id) == col(MembershipOffer.person_id))
        .where(
            col(MembershipOffer.organization_id).in_([each.id for each in organizations]),
            col(MembershipOffer.expires_at) > now(),
        )
        .order_by(col(Person.name_key))
    )
    found = defaultdict[str, list[tuple[MembershipOffer, Person]]](list)
    for offer, person in rows:
        found[offer.organization_id].append((offer, person))
    return found


async def clean_up(session: AsyncSession) -> None:
    """Forget invitations that nobody answered."""
    await session.execute(sa.delete(MembershipOffer).where(col(MembershipOffer.expires_at) <= now()))


async def _own(session: AsyncSession, offer_id: str, *, by: Principal) -> MembershipOffer:
    offer = await session.get(MembershipOffer, offer_id, with_for_update=True)
    if offer is None or by.person_id is None or offer.person_id != by.person_id or offer.expires_at <= now():
        raise _over()
    return offer


async def _stands(session: AsyncSession, maker_id: str, organization: Organization) -> bool:
    """Whether who made an invitation could make it now: rights that were lost do not work on through it."""
    maker = await session.get(Person, maker_id)
    if maker is None or maker.is_disabled:
        return False
    return maker.is_admin or await memberships.administers(session, organization, maker_id)


async def _forget(session: AsyncSession, organization_id: str, person_id: str) -> None:
    await session.execute(
        sa.delete(MembershipOffer).where(
            col(MembershipOffer.organization_id) == organization_id, col(MembershipOffer.person_id) == person_id
        )
    )


async def _record(session: AsyncSession, kind: str, offer: MembershipOffer, *, by: Principal) -> None:
    body = {
        "person": offer.person_id,
        "role": offer.role.value,
        "is_safety": offer.is_safety,
        "invitation": offer.id,
    }
    await ledger.record(
        session, kind, actor=by.person_id, token=by.token_id, subject=offer.organization_id, body=dict(body)
    )


def _over() -> NotFound:
    return NotFound("This invitation is over.", next_step="Ask an administrator of the organization for another one.")
