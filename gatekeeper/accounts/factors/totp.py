"""Codes of an app (RFC 6238: SHA-1, six digits, thirty seconds, as every app knows them)."""

import hmac
from dataclasses import dataclass

import pyotp
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.factors.tables import Totp
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.kit.sealing import Box

_STEP_SECONDS = 30
_NEIGHBORS = (0, -1, 1)  # a clock may be half a minute off (RFC 6238, 5.2)


@dataclass(frozen=True)
class Enrolment:
    """What an app must be told, by a picture or by typing."""

    secret: str
    address: str


async def begin(session: AsyncSession, person: Person, *, box: Box) -> None:
    """A new secret for the person's app, which counts once a first code confirms it.

    Raises Conflict while another one is in use.
    """
    row = await session.get(Totp, person.id)
    if row is not None and row.confirmed_at is not None:
        raise Conflict("You use an app already.", next_step="Remove it first, to set up another one.")
    row = row or Totp(person_id=person.id, sealed="")
    row.sealed, row.last_step, row.created_at = box.seal(pyotp.random_base32(), purpose=_purpose(person)), 0, now()
    session.add(row)


async def under_way(session: AsyncSession, person: Person, *, box: Box, issuer: str) -> Enrolment | None:
    """What to tell the app, as long as it is not confirmed; never afterwards. `issuer` is shown in the app."""
    row = await session.get(Totp, person.id)
    if row is None or row.confirmed_at is not None:
        return None
    secret = box.open(row.sealed, purpose=_purpose(person))
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=person.name, issuer_name=issuer))


async def confirm(session: AsyncSession, person: Person, code: str, *, box: Box, by: Principal) -> None:
    """Take the app into use, shown by a first code. Raises Invalid for a wrong code."""
    row = await session.get(Totp, person.id)
    if row is None or row.confirmed_at is not None or not await _spend(session, row, person, code, box=box):
        raise Invalid("This code is not right.", next_step="Wait for the next one, and check the clock of the device.")
    row.confirmed_at = now()
    session.add(row)
    await ledger.record(session, "accounts:totp:confirm", actor=by.person_id, subject=person.id)


async def use(session: AsyncSession, person: Person, code: str, *, box: Box) -> bool:
    """Whether `code` is one that the person's app shows now, and was not used before. It is used now."""
    row = await session.get(Totp, person.id)
    return row is not None and row.confirmed_at is not None and await _spend(session, row, person, code, box=box)


async def remove(session: AsyncSession, person: Person, *, by: Principal) -> None:
    """Take the app out of use; also one that was never confirmed."""
    await session.execute(sa.delete(Totp).where(col(Totp.person_id) == person.id))
    await ledger.record(session, "accounts:totp:remove", actor=by.person_id, subject=person.id)


async def _spend(session: AsyncSession, row: Totp, person: Person, code: str, *, box: Box) -> bool:
    # However a code is written, its time step is what is used up: blanks in it make no second code of it.
    digits = "".join(code.split())
    if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
        return False
    generator = pyotp.TOTP(box.open(row.sealed, purpose=_purpose(person)))
    present = int(now().timestamp()) // _STEP_SECONDS
    fits = [
        present + offset
        for offset in _NEIGHBORS
        if hmac.compare_digest(generator.at((present + offset) * _STEP_SECONDS), digits)
    ]
    if not fits:
        return False
    spent = await session.execute(
        sa.update(Totp)
        .where(col(Totp.person_id) == row.person_id, col(Totp.last_step) < fits[0])
        .values(last_step=fits[0])
        .returning(col(Totp.person_id))
    )
    return spent.first() is not None


def _purpose(person: Person) -> str:
    return f"totp {person.id}"
