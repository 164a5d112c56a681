"""Signing in with a password.

Unlike other verbs this one takes the database and opens its own short transactions: a failed try must be counted though
the caller gets an error, and no transaction may be open during the slow hash, or a few guesses would stop all writers.
"""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts import passwords, people, sessions, throttle
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.tables import BrowserSession, Person
from gatekeeper.db import Database
from gatekeeper.errors import NotSignedIn


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


async def _find(session: AsyncSession, name_or_email: str) -> Person | None:
    if "@" in name_or_email:
        return await people.find_by_email(session, name_or_email)
    return await people.find(session, name_or_email)


def _refused() -> NotSignedIn:
    return NotSignedIn("The name or the password is not right.", next_step="Check both and try again.")
