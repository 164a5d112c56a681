"""Browser sessions, kept on the server: a cookie names one, and ending it here ends it everywhere."""

from dataclasses import replace as changed
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import seen
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.principals import for_person
from gatekeeper.accounts.tables import BrowserSession, Person, ProviderSession, Strength
from gatekeeper.errors import NotAllowed, NotFound, NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash, new_secret

PREFIX = "gs_"
_KEPT_DAYS = 30


async def start(
    session: AsyncSession,
    person: Person,
    *,
    key: bytes,
    user_agent: str,
    days: int,
    strength: Strength = Strength.PASSWORD,
) -> tuple[BrowserSession, str]:
    """A fresh session for `person`, and the secret for the cookie. The secret is not stored.

    key       key of the hashes in the database
    strength  how they proved who they are
    """
    secret = new_secret(PREFIX)
    browser = BrowserSession(
        secret_hash=keyed_hash(key, secret),
        person_id=person.id,
        expires_at=now() + timedelta(days=days),
        user_agent="".join(sign for sign in user_agent[:200] if sign.isprintable()),
        strength=strength,
    )
    session.add(browser)
    return browser, secret


async def strengthen(session: AsyncSession, person: Person, strength: Strength, *, key: bytes, by: Principal) -> str:
    """Put a session of that strength in the place of the caller's own, under a new secret, and end all others.

    What was known of the session before gives nothing afterwards. Raises NotSignedIn when it has ended meanwhile.
    """
    old = await session.get(BrowserSession, by.session_id) if by.session_id else None
    if old is None or old.ended_at is not None or old.person_id != person.id:
        raise NotSignedIn("You are not signed in any more.", next_step="Sign in again.")
    secret = new_secret(PREFIX)
    fresh = BrowserSession(
        secret_hash=keyed_hash(key, secret),
        person_id=person.id,
        signed_in_at=old.signed_in_at,
        expires_at=old.expires_at,
        user_agent=old.user_agent,
        strength=strength,
    )
    session.add(fresh)
    await session.flush()  # what is known of the old one goes with it: a provider that ends it ends the new one
    await session.execute(
        sa.update(ProviderSession).where(col(ProviderSession.session_id) == old.id).values(session_id=fresh.id)
    )
    await end_all(session, person, by=by, keep=fresh.id)
    return secret


async def resolve(session: AsyncSession, secret: str, *, key: bytes, idle: timedelta | None = None) -> Principal | None:
    """Who is signed in with this cookie; None when it is malformed, ended or expired, or the person is disabled.

    idle  how long a session lives without being used; None for as long as it lives at all
    """
    if not is_well_formed(secret, PREFIX):
        return None
    row = (
        await session.execute(
            sa.select(BrowserSession, Person)
            .join(Person, col(Person.id) == col(BrowserSession.person_id))
            .where(col(BrowserSession.secret_hash) == keyed_hash(key, secret))
        )
    ).first()
    if row is None:
        return None
    browser, person = row
    if browser.ended_at is not None or browser.expires_at <= now() or person.is_disabled:
        return None
    if idle is not None and await seen.is_idle(session, browser, idle):
        return None
    found = await for_person(session, person, session_id=browser.id, valid_until=browser.expires_at)
    return changed(found, signed_in_at=browser.signed_in_at, strength=browser.strength)


async def had_any(session: AsyncSession, person_id: str, *, but: str) -> bool:
    """Whether a person had another session than this one in the last month, live or ended."""
    query = sa.select(col(BrowserSession.id)).where(
        col(BrowserSession.person_id) == person_id, col(BrowserSession.id) != but
    )
    return await session.scalar(query.limit(1)) is not None


async def list_for(session: AsyncSession, person_id: str) -> list[BrowserSession]:
    """A person's live sessions, newest first."""
    return list(
        await session.scalars(
            sa.select(BrowserSession)
            .where(
                col(BrowserSession.person_id) == person_id,
                col(BrowserSession.ended_at).is_(None),
                col(BrowserSession.expires_at) > now(),
            )
            .order_by(col(BrowserSession.signed_in_at).desc(), col(BrowserSession.id).desc())
        )
    )


async def end(session: AsyncSession, session_id: str, *, by: Principal) -> None:
    """End one session of the caller's own. Raises NotFound for any other; ending twice is no error."""
    browser = await session.get(BrowserSession, session_id)
    if browser is None or by.person_id is None or browser.person_id != by.person_id:
        raise NotFound("You have no such session.", next_step="Look at the list of your sessions.")
    await _end(session, browser, by=by)


async def end_of(session: AsyncSession, person: Person, session_id: str, *, by: Principal) -> None:
    """End one session of somebody else's. Raises NotAllowed unless an administrator does it in person, NotFound."""
    if not by.is_admin or by.token_id is not None:
        raise NotAllowed("Only an administrator of this hub may do this.", next_step="Ask an administrator.")
    browser = await session.get(BrowserSession, session_id)
    if browser is None or browser.person_id != person.id:
        raise NotFound(f"{person.name} has no such session.", next_step="Take it from their page.")
    await _end(session, browser, by=by)


async def replace(session: AsyncSession, session_id: str) -> None:
    """End the session that a browser had before it signed in again, whoever it belonged to."""
    await session.execute(
        sa.update(BrowserSession)
        .where(col(BrowserSession.id) == session_id, col(BrowserSession.ended_at).is_(None))
        .values(ended_at=now())
    )


async def end_all(session: AsyncSession, person: Person, *, by: Principal, keep: str | None = None) -> int:
    """End every live session of `person`, except the one with the id `keep`; returns how many."""
    ended = 0
    for browser in await list_for(session, person.id):
        if browser.id != keep:
            browser.ended_at = now()
            session.add(browser)
            ended += 1
    if ended:
        await ledger.record(
            session,
            "accounts:session:end-all",
            actor=by.person_id,
            token=by.token_id,
            subject=person.id,
            body={"ended": ended},
        )
    return ended


async def _end(session: AsyncSession, browser: BrowserSession, *, by: Principal) -> None:
    if browser.ended_at is None:
        browser.ended_at = now()
        session.add(browser)
        await ledger.record(session, "accounts:session:end", actor=by.person_id, token=by.token_id, subject=browser.id)


async def clean_up(session: AsyncSession) -> None:
    """Forget sessions that have been over for a month."""
    over = now() - timedelta(days=_KEPT_DAYS)
    await session.execute(
        sa.delete(BrowserSession).where(
            sa.or_(col(BrowserSession.expires_at) < over, col(BrowserSession.ended_at) < over)
        )
    )
