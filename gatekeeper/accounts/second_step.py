"""The second step of signing in, signing in with a passkey, and changing one's factors.

Like `sign_in`, what may be guessed at opens its own short transactions: a failed try is counted though it is refused.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import people, sessions, throttle
from gatekeeper.accounts.factors import held, passkeys, recovery, steps, totp
from gatekeeper.accounts.factors.passkeys import RelyingParty
from gatekeeper.accounts.factors.tables import Passkey, RecoveryCode, SignInStep, StepKind, Totp
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.signin import SignedIn, open_session
from gatekeeper.accounts.tables import BrowserSession, Person, Strength
from gatekeeper.db import Database
from gatekeeper.errors import NotAllowed, NotSignedIn
from gatekeeper.kit.sealing import Box


async def with_code(
    database: Database,
    step_secret: str,
    code: str,
    *,
    box: Box,
    address: str,
    key: bytes,
    user_agent: str = "",
    days: int = 14,
    replaces: str | None = None,
    device: str = "",
) -> SignedIn:
    """Finish a sign-in with a code of the app, or with a recovery code.

    Raises NotSignedIn for a wrong or used code, with details["can_retry"] as long as the step lasts, and TooMany.
    """
    async with database.write() as session:
        step, person = await _step(session, step_secret, key=key)
        target = throttle.Target.of(f"second {person.id}", address, key=key)
        attempt = await throttle.reserve(session, target, per_account=throttle.PER_FACTOR)

    async with database.write() as session:
        step, person = await _step(session, step_secret, key=key)
        is_right = await totp.use(session, person, code, box=box) or await recovery.use(session, person, code, key=key)
        if not is_right:
            raise NotSignedIn(
                "This code is not right, or was used before.",
                next_step="Wait for the next one, or use a recovery code.",
                details={"can_retry": True},
            )
        await steps.use(session, step)
        await throttle.forgive(session, attempt)
        return await open_session(
            session,
            person,
            Strength.SECOND_FACTOR,
            key=key,
            user_agent=user_agent,
            days=days,
            replaces=replaces,
            device=device,
            arrival=step.arrival,
        )


async def with_passkey(
    session: AsyncSession,
    kind: StepKind,
    step_secret: str,
    credential: dict[str, Any],
    *,
    rp: RelyingParty,
    key: bytes,
    user_agent: str = "",
    days: int = 14,
    replaces: str | None = None,
    device: str = "",
) -> SignedIn:
    """Sign in with a passkey, by itself or as the second step. There is nothing to guess, so nothing is counted.

    Raises NotSignedIn, the same for an unknown passkey, a wrong answer and a disabled account.
    """
    step = await steps.find(session, kind, step_secret, key=key)
    passkey = await passkeys.verify(session, step, credential, rp=rp)
    person = await people.get(session, passkey.person_id)
    if person is None or person.is_disabled:
        raise NotSignedIn("The passkey did not prove who you are.", next_step="Try again, or use another way.")
    strength = Strength.PASSKEY if kind is StepKind.PASSKEY else Strength.SECOND_FACTOR
    return await open_session(
        session,
        person,
        strength,
        key=key,
        user_agent=user_agent,
        days=days,
        replaces=replaces,
        device=device,
        arrival=step.arrival,
    )


async def person_of(session: AsyncSession, step_secret: str, *, key: bytes) -> tuple[SignInStep, Person]:
    """Whose second step this is. Raises NotSignedIn when it is over."""
    return await _step(session, step_secret, key=key)


async def added(session: AsyncSession, person: Person, *, key: bytes, by: Principal) -> tuple[str, list[str]]:
    """What follows on a new factor: the session's new secret, and recovery codes to show if there were none.

    The caller's session becomes a strong one under a new secret; all others end, for they began with less.
    """
    codes = [] if await recovery.left(session, person.id) else await recovery.renew(session, person, key=key, by=by)
    await steps.forget(session, person.id)
    return await sessions.strengthen(session, person, Strength.SECOND_FACTOR, key=key, by=by), codes


async def removed(session: AsyncSession, person: Person, *, by: Principal) -> None:
    """What follows on a factor's end: with the last one go the recovery codes, and sessions are worth a password."""
    await steps.forget(session, person.id)
    if (await held(session, person.id)).any:
        return
    await recovery.clear(session, person)
    await sessions.end_all(session, person, by=by, keep=by.session_id)
    await session.execute(
        sa.update(BrowserSession).where(col(BrowserSession.id) == by.session_id).values(strength=Strength.PASSWORD)
    )


async def take_off(session: AsyncSession, person: Person, *, by: Principal) -> None:
    """Remove every factor of somebody who has lost them all, and end their sessions.

    Raises NotAllowed unless the operator or an administrator does it, for somebody else.
    """
    if not by.is_admin or by.person_id == person.id:
        raise NotAllowed("Second factors are taken off by the hub's operator.", next_step="Ask the operator.")
    for table in (Totp, Passkey, RecoveryCode):
        await session.execute(sa.delete(table).where(col(table.person_id) == person.id))
    await steps.forget(session, person.id)
    await sessions.end_all(session, person, by=by)
    await ledger.record(session, "accounts:factors:take-off", actor=by.person_id, subject=person.id)


async def _step(session: AsyncSession, step_secret: str, *, key: bytes) -> tuple[SignInStep, Person]:
    step = await steps.find(session, StepKind.SECOND, step_secret, key=key)
    person = await people.get(session, step.person_id or "")
    if person is None or person.is_disabled:
        raise NotSignedIn("This sign-in took too long, or was begun elsewhere.", next_step="Start again.")
    return step, person
