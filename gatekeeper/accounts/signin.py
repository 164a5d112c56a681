"""Signing in with a password, and changing it.

Unlike other verbs these take the database and open their own short transactions: a failed try must be counted though
the caller gets an error, and no transaction may be open during the slow hash, or a few guesses would stop all writers.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import ledger
from gatekeeper.accounts import devices, passwords, people, sessions, throttle
from gatekeeper.accounts.factors import held, steps
from gatekeeper.accounts.factors.tables import StepKind
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import BrowserSession, Person, ProviderSession, Strength
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotSignedIn


@dataclass(frozen=True)
class SignedIn:
    """A fresh session. `secret` belongs into the cookie and is stored nowhere."""

    person: Person
    browser: BrowserSession
    secret: str


@dataclass(frozen=True)
class SecondStepNeeded:
    """The first step was right, and the person has a second factor. `secret` belongs into the cookie of the step."""

    person: Person
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
    device: str = "",
) -> SignedIn | SecondStepNeeded:
    """Check the password and start a session under a new secret, or the second step if the person has a second factor.

    address   the caller's address, used for throttling and kept only as a keyed hash for five minutes
    device    the mark of a browser in which somebody signed in before (see accounts.devices)
    replaces  id of the session the browser had before, which ends: a secret planted earlier gains nothing

    Raises NotSignedIn, the same for an unknown name, a wrong password and a disabled account, and TooMany with
    `retry_after_seconds`. Neither the answer nor the time it takes tells whether the name exists.
    """
    async with database.write() as session:
        person = await _find(session, name_or_email)
        account = person.id if person else fold(name_or_email)
        own = devices.mark_for(person.id, device, key=key) if person else ""
        # Tries from a browser that the person uses count for themselves: a stranger's cannot lock its owner out.
        target = throttle.Target.of(f"{account} {own}", own, key=key) if own else None
        attempt = await throttle.reserve(session, target or throttle.Target.of(account, address, key=key))

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
        return await begin_session(
            session,
            current,
            Strength.PASSWORD,
            key=key,
            user_agent=user_agent,
            days=days,
            replaces=replaces,
            device=device,
        )


async def begin_session(
    session: AsyncSession,
    person: Person,
    strength: Strength,
    *,
    key: bytes,
    user_agent: str,
    days: int,
    replaces: str | None,
    device: str = "",
    arrival: dict[str, Any] | None = None,
) -> SignedIn | SecondStepNeeded:
    """What follows on a first step, whichever it was: the second one for who has a factor and has not shown one."""
    if not strength.is_strong and (await held(session, person.id)).any:
        secret = await steps.start(session, StepKind.SECOND, key=key, person_id=person.id, arrival=arrival)
        return SecondStepNeeded(person, secret)
    return await open_session(
        session,
        person,
        strength,
        key=key,
        user_agent=user_agent,
        days=days,
        replaces=replaces,
        device=device,
        arrival=arrival,
    )


async def open_session(
    session: AsyncSession,
    person: Person,
    strength: Strength,
    *,
    key: bytes,
    user_agent: str,
    days: int,
    replaces: str | None,
    device: str = "",
    arrival: dict[str, Any] | None = None,
) -> SignedIn:
    """A session under a new secret, for somebody who has just proved who they are.

    device   the mark of a browser in which somebody signed in before; it is written down when it is not theirs
    arrival  columns of the ProviderSession to remember with it, None where no provider had a part
    """
    if replaces is not None:
        await sessions.replace(session, replaces)
    browser, secret = await sessions.start(
        session, person, key=key, user_agent=user_agent, days=days, strength=strength
    )
    body: dict[str, Any] = {"strength": strength.value}
    if not devices.mark_for(person.id, device, key=key) and await sessions.had_any(session, person.id, but=browser.id):
        body["is_new_browser"] = True
    if arrival is not None:
        await session.flush()  # what is known of the session names its row
        session.add(ProviderSession(session_id=browser.id, **arrival))
        body["identity"] = arrival["identity_id"]
    await ledger.record(session, "accounts:session:start", actor=person.id, subject=browser.id, body=body)
    return SignedIn(person, browser, secret)


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
