"""Recovery codes: ten words on paper, each good for one sign-in without the app or the passkey."""

import secrets

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.factors.tables import RecoveryCode
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash

COUNT = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters that are mistaken for one another
_LENGTH = 12  # 59 bits


async def renew(session: AsyncSession, person: Person, *, key: bytes, by: Principal) -> list[str]:
    """Fresh codes in the place of all earlier ones, to be shown once: only their keyed hashes are kept."""
    await clear(session, person)
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)) for _ in range(COUNT)]
    session.add_all([RecoveryCode(person_id=person.id, code_hash=_hash(key, person.id, code)) for code in codes])
    await ledger.record(session, "accounts:recovery-codes:renew", actor=by.person_id, subject=person.id)
    return ["-".join((code[:4], code[4:8], code[8:])) for code in codes]


async def use(session: AsyncSession, person: Person, code: str, *, key: bytes) -> bool:
    """Whether `code` was one of the person's and unused. It is used now; of two at once one wins."""
    used = await session.execute(
        sa.update(RecoveryCode)
        .where(
            col(RecoveryCode.code_hash) == _hash(key, person.id, code),
            col(RecoveryCode.person_id) == person.id,
            col(RecoveryCode.used_at).is_(None),
        )
        .values(used_at=now())
        .returning(col(RecoveryCode.id))
    )
    if used.first() is None:
        return False
    await ledger.record(session, "accounts:recovery-codes:use", actor=person.id, subject=person.id)
    return True


async def left(session: AsyncSession, person_id: str) -> int:
    """How many unused codes there are."""
    return (
        await session.scalar(
            sa.select(sa.func.count())
            .select_from(RecoveryCode)
            .where(col(RecoveryCode.person_id) == person_id, col(RecoveryCode.used_at).is_(None))
        )
        or 0
    )


async def clear(session: AsyncSession, person: Person) -> None:
    """Forget all codes: they stand in for a factor, and without one they open nothing."""
    await session.execute(sa.delete(RecoveryCode).where(col(RecoveryCode.person_id) == person.id))


def _hash(key: bytes, person_id: str, code: str) -> str:
    plain = "".join(sign for sign in code.lower() if sign in _LETTERS)
    return keyed_hash(key, f"recovery {person_id} {plain}")
