"""Signing in with a password, and changing it.

Unlike other verbs these take the database and open their own short transactions: a failed try must be counted though
the caller gets an error, and no transaction may be open during the slow hash, or a few guesses would stop all writers.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts import passwords, people, sessions, throttle
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import BrowserSession, Person
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotSignedIn


@dataclass(frozen=True)
class SignedIn:
    """A fresh session. `secret` belongs into the cookie and is stored nowhere."""

    person: Person
    browser: BrowserSession
    secret: str


async def sign_in(
    database: Database,
    name_or_email: str,
    password: str,
    *,
    address: str,
    key: bytes,
    user_agent: str = "",
    days: int = 14,
    replaces: str | None = None,
) -> SignedIn:
    """Check the password and start a session under a new secret.

    address   the caller's address, used for throttling and kept only as a keyed hash for five minutes
    replaces  id of the session the browser had before, which ends: a secret planted earlier gains nothing

    Raises NotSignedIn, the same for an unknown name, a wrong password and a disabled account, and TooMany with
    `retry_after_seconds`. Neither the answer nor the time it takes tells whether the name exists.
    """
    async with database.write() as session:
        person = await _find(session, name_or_email)
        account = person.id if person else fold(name_or_email)
        attempt = await throttle.reserve(session, throttle.Target.of(account, address, key=key))

    fits = len(password) <= passwords.LONGEST
    is_right = await passwords.verify_password(person.password_hash if person else None, password if fits else "")
    if person is None or person.password_hash is None or not is_right or not fits:
        raise _refused()
    rehashed = None
    if passwords.needs_rehash(person.password_hash):
        rehashed = await passwords.hash_password(password)

    async with database.write() as session:
        current = await people.get(session, person.id)
        if current is None or current.is_disabled or current.password_hash != person.password_hash:
            raise _refused()
        if rehashed is not None:
            current.password_hash = rehashed
            session.add(current)
        await throttle.forgive(session, attempt)
        if replaces is not None:
            await sessions.replace(session, replaces)
        browser, secret = await sessions.start(session, current, key=key, user_agent=user_agent, days=days)
        await ledger.record(session, "accounts:session:start", actor=current.id, subject=browser.id)
    return SignedIn(current, browser, secret)


async def change_password(
    database: Database, current: str, password: str, *, address: str, key: bytes, by: Principal
) -> None:
    """Give the person of this session another password and end their other sessions.

    Tries are counted with those of signing in: whoever holds a session cannot guess the password with it. Raises
    Invalid with details["field"] `current` or `password`, TooMany, and NotSignedIn when the session ended meanwhile.
    """
    async with database.write() as session:
        person = await _in_session(session, by)
        attempt = await throttle.reserve(session, throttle.Target.of(person.id, address, key=key))

    fits = len(current) <= passwords.LONGEST
    if not await passwords.verify_password(person.password_hash, current if fits else "") or not fits:
        raise Invalid("This is not your present password.", details={"field": "current"})
    try:
        passwords.check_password(password, name=person.name, email=person.email)
    except Invalid as error:
        raise Invalid(error.message, next_step=error.next_step, details={"field": "password"}) from None
    hashed = await passwords.hash_password(password)

    async with database.write() as session:
        fresh = await _in_session(session, by)
        if fresh.password_hash != person.password_hash:
            raise _refused()
        await throttle.forgive(session, attempt)
        await people.keep_password(session, fresh, hashed, by=by)


async def _in_session(session: AsyncSession, by: Principal) -> Person:
    browser = await session.get(BrowserSession, by.session_id) if by.session_id else None
    person = await people.get(session, browser.person_id) if browser and browser.ended_at is None else None
    if person is None or person.is_disabled:
        raise NotSignedIn("You are not signed in any more.", next_step="Sign in again.")
    return person


async def _find(session: AsyncSession, name_or_email: str) -> Person | None:
    if "@" in name_or_email:
        return await people.find_by_email(session, name_or_email)
    return await people.find(session, name_or_email)


def _refused() -> NotSignedIn:
    return NotSignedIn("The name or the password is not right.", next_step="Check both and try again.")
