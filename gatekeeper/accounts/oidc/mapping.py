"""What claims are worth here: roles in organizations and, only where it is set, the administration of the hub.

Only what came from a mapping is taken back by it. A membership that somebody gave by hand, or changed since, stays.
"""

from operator import attrgetter

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import organizations
from gatekeeper.accounts.oidc import claims as reading
from gatekeeper.accounts.oidc.providers import Provider
from gatekeeper.accounts.oidc.tables import Identity, MappedMembership
from gatekeeper.accounts.tables import Membership, Person, Role


async def apply(
    session: AsyncSession, provider: Provider, identity: Identity, person: Person, claims: dict[str, object]
) -> None:
    """Bring the memberships that come from this identity in line with what the provider says now."""
    wanted: dict[str, Role] = {}
    for rule in provider.roles:
        if not reading.has(claims, rule):
            continue
        organization = await organizations.find(session, rule.organization)
        if organization is not None:
            before = wanted.get(organization.id)
            wanted[organization.id] = rule.role if before is None else max(before, rule.role, key=attrgetter("rank"))
    held = await _held(session, identity)
    for organization_id, mapped in held.items():
        if wanted.get(organization_id) is not mapped.role:
            await _take_back(session, mapped, person)
    for organization_id, role in wanted.items():
        if organization_id not in held or held[organization_id].role is not role:
            await _give(session, identity, person, organization_id, role)
    await _administration(session, provider, identity, person, claims)


async def withdraw(session: AsyncSession, identity: Identity, person: Person) -> None:
    """Take back everything that came from an identity, which is about to be unlinked."""
    for mapped in (await _held(session, identity)).values():
        await _take_back(session, mapped, person)
    if identity.made_admin:
        await _set_admin(session, identity, person, is_admin=False)


async def _held(session: AsyncSession, identity: Identity) -> dict[str, MappedMembership]:
    rows = await session.scalars(sa.select(MappedMembership).where(col(MappedMembership.identity_id) == identity.id))
    return {row.organization_id: row for row in rows}


async def _give(session: AsyncSession, identity: Identity, person: Person, organization_id: str, role: Role) -> None:
    present = await session.scalar(
        sa.select(Membership).where(
            col(Membership.organization_id) == organization_id, col(Membership.person_id) == person.id
        )
    )
    if present is not None:
        return
    membership = Membership(organization_id=organization_id, person_id=person.id, role=role)
    session.add(membership)
    await session.flush()  # the mapping names the membership's row
    session.add(
        MappedMembership(
            identity_id=identity.id, membership_id=membership.id, organization_id=organization_id, role=role
        )
    )
    await _record(session, "accounts:organization:set-member", organization_id, person, role=role.value)


async def _take_back(session: AsyncSession, mapped: MappedMembership, person: Person) -> None:
    # Also the last administrator's: a right that the provider took away must not stay because nobody else has it.
    await session.delete(mapped)
    await session.flush()
    gone = await session.execute(
        sa.delete(Membership)
        .where(col(Membership.id) == mapped.membership_id, col(Membership.role) == mapped.role)
        .execution_options(synchronize_session="fetch")
    )
    if gone.rowcount:  # type: ignore[attr-defined]  # a DELETE has it; the stubs know only Result
        await _record(session, "accounts:organization:remove-member", mapped.organization_id, person)


async def _administration(
    session: AsyncSession, provider: Provider, identity: Identity, person: Person, claims: dict[str, object]
) -> None:
    is_named = provider.administrators is not None and reading.has(claims, provider.administrators)
    if is_named and not person.is_admin:
        await _set_admin(session, identity, person, is_admin=True)
    elif not is_named and identity.made_admin:
        await _set_admin(session, identity, person, is_admin=False)


async def _set_admin(session: AsyncSession, identity: Identity, person: Person, *, is_admin: bool) -> None:
    person.is_admin = identity.made_admin = is_admin
    session.add_all([person, identity])
    await ledger.record(
        session,
        "accounts:person:set-admin",
        actor=person.id,
        subject=person.id,
        body={"is_admin": is_admin, "identity": identity.id},
    )


async def _record(session: AsyncSession, kind: str, organization_id: str, person: Person, **more: str) -> None:
    await ledger.record(
        session,
        kind,
        actor=person.id,
        subject=organization_id,
        body={"person": person.id, "by": "identity provider", **more},
    )
