"""Identities: (issuer, subject) and nothing else says who somebody is. An e-mail address never does."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import namespaces
from gatekeeper.accounts.factors import steps
from gatekeeper.accounts.oidc import claims as reading
from gatekeeper.accounts.oidc import mapping
from gatekeeper.accounts.oidc.providers import Provider
from gatekeeper.accounts.oidc.tables import Identity
from gatekeeper.accounts.oidc.trips import Vouched
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import BrowserSession, Person, ProviderSession
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.clock import now


async def find(session: AsyncSession, issuer: str, subject: str) -> Identity | None:
    """The identity of that subject at that issuer."""
    return await session.scalar(
        sa.select(Identity).where(col(Identity.issuer) == issuer, col(Identity.subject) == subject)
    )


async def list_for(session: AsyncSession, person_id: str) -> list[Identity]:
    """A person's identities, oldest first."""
    return list(
        await session.scalars(
            sa.select(Identity).where(col(Identity.person_id) == person_id).order_by(col(Identity.linked_at))
        )
    )


async def link(session: AsyncSession, person: Person, provider: Provider, vouched: Vouched) -> Identity:
    """Let `person` sign in as this subject from now on. Raises Conflict when the subject is somebody's already."""
    identity = Identity(
        person_id=person.id,
        provider=provider.name,
        issuer=vouched.issuer,
        subject=vouched.subject,
        label=reading.label_of(vouched.claims),
    )
    await namespaces.insert(session, identity, otherwise=_in_use(provider))
    await ledger.record(
        session,
        "accounts:identity:link",
        actor=person.id,
        subject=identity.id,
        body={"person": person.id, "issuer": vouched.issuer},
    )
    return identity


async def unlink(
    session: AsyncSession, identity_id: str, *, by: Principal, usable: frozenset[str], has_password: bool
) -> None:
    """Take one of the caller's own identities away, with the sessions and rights that came from it.

    usable        issuers through which people can sign in at present
    has_password  a password of theirs would be accepted

    Raises NotFound for any other, Conflict for the last way in.
    """
    # The person's row is locked first, or two that are unlinked at once would each take the other for the last.
    person = await session.scalar(sa.select(Person).where(col(Person.id) == by.person_id).with_for_update())
    mine = await list_for(session, person.id) if person else []
    identity = next((each for each in mine if each.id == identity_id), None)
    if person is None or identity is None:
        raise NotFound("You have no such sign-in.", next_step="Look at the list of yours.")
    others = [each for each in mine if each.id != identity.id and each.issuer in usable]
    if not others and not (has_password and person.password_hash):
        raise Conflict("This is the last way in that you have.", next_step="Add another one first.")
    await mapping.withdraw(session, identity, person)
    await session.execute(
        sa.update(BrowserSession)
        .where(
            col(BrowserSession.ended_at).is_(None),
            col(BrowserSession.id) != by.session_id,
            col(BrowserSession.id).in_(
                sa.select(col(ProviderSession.session_id)).where(col(ProviderSession.identity_id) == identity.id)
            ),
        )
        .values(ended_at=now())
    )
    await steps.forget(session, person.id)
    await session.delete(identity)
    await ledger.record(
        session,
        "accounts:identity:unlink",
        actor=by.person_id,
        subject=identity.id,
        body={"person": person.id, "issuer": identity.issuer},
    )


def _in_use(provider: Provider) -> Conflict:
    return Conflict(
        f"This sign-in at {provider.title} already belongs to an account.",
        next_step="Sign in with it, or unlink it there first.",
    )
