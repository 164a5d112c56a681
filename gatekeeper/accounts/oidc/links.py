"""A way in for the day when no provider answers: a link that an operator makes at the machine itself, good once."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import people
from gatekeeper.accounts.oidc.tables import SignInLink
from gatekeeper.accounts.signin import SecondStepNeeded, SignedIn, begin_session
from gatekeeper.accounts.tables import Person, Strength
from gatekeeper.errors import NotAllowed, NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash, new_secret

PREFIX = "gw_"
LIFE_SECONDS = 900


async def make(session: AsyncSession, person: Person, *, key: bytes) -> str:
    """The secret of a fresh link for `person`, which is shown once. Raises NotAllowed for a disabled account."""
    if person.is_disabled:
        raise NotAllowed(f"{person.name} is disabled.", next_step="Enable the account first.")
    secret = new_secret(PREFIX)
    session.add(
        SignInLink(
            secret_hash=keyed_hash(key, secret),
            person_id=person.id,
            expires_at=now() + timedelta(seconds=LIFE_SECONDS),
        )
    )
    await ledger.record(session, "accounts:person:let-in", subject=person.id)
    return secret


async def follow(
    session: AsyncSession,
    secret: str,
    *,
    key: bytes,
    user_agent: str,
    days: int,
    replaces: str | None,
    device: str = "",
) -> SignedIn | SecondStepNeeded:
    """A session, or the second step, by a link, which is used up. Raises NotSignedIn for any that is not good."""
    instant, link = now(), None
    if is_well_formed(secret, PREFIX):
        link = await session.scalar(
            sa.update(SignInLink)
            .where(
                col(SignInLink.secret_hash) == keyed_hash(key, secret),
                col(SignInLink.used_at).is_(None),
                col(SignInLink.expires_at) > instant,
            )
            .values(used_at=instant)
            .returning(SignInLink)
        )
    person = await people.get(session, link.person_id) if link else None
    if person is None or person.is_disabled:
        raise NotSignedIn("This link is over.", next_step="Have a new one made with `gatekeeper people let-in`.")
    await ledger.record(session, "accounts:person:follow-link", actor=person.id, subject=person.id)
    return await begin_session(
        session,
        person,
        Strength.PASSWORD,
        key=key,
        user_agent=user_agent,
        days=days,
        replaces=replaces,
        device=device,
    )


async def clean_up(session: AsyncSession) -> None:
    """Forget links that are over."""
    await session.execute(sa.delete(SignInLink).where(col(SignInLink.expires_at) < now()))
