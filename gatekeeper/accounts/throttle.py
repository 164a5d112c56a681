"""Slowing down guesses of passwords, by the account aimed at and by the address they come from."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlmodel import col

from gatekeeper.accounts.tables import SignInAttempt
from gatekeeper.errors import TooMany
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash

WINDOW_SECONDS = 300
PER_ACCOUNT = 10
PER_FACTOR = 5  # codes have six digits, and three of a million are good at a time
PER_ADDRESS = 30  # an office behind one address is allowed some typing errors


@dataclass(frozen=True)
class Target:
    """Whose password is being tried, from where; both only as keyed hashes."""

    name_hash: str
    address_hash: str

    @classmethod
    def of(cls, account: str, address: str, *, key: bytes) -> "Target":
        """`account` is a person's id or, for nobody's name, the folded name itself: both are counted alike."""
        return cls(
            keyed_hash(key, f"sign-in account {_encodable(account)}"),
            keyed_hash(key, f"sign-in address {_encodable(address)}"),
        )


async def reserve(session: AsyncSession, target: Target, *, per_account: int = PER_ACCOUNT) -> SignInAttempt:
    """Count one try before it is made, so that a hundred at once are not all let through.

    Raises TooMany with `retry_after_seconds` when either limit is reached. What is refused is not counted.
    """
    await _take_turns(session, target)
    since = now() - timedelta(seconds=WINDOW_SECONDS)
    waits = [
        await _wait(session, col(SignInAttempt.name_hash), target.name_hash, limit=per_account, since=since),
        await _wait(session, col(SignInAttempt.address_hash), target.address_hash, limit=PER_ADDRESS, since=since),
    ]
    if seconds := max(waits):
        raise TooMany(
            "Too many failed attempts to sign in.",
            next_step=f"Try again in {math.ceil(seconds / 60)} minutes.",
            details={"retry_after_seconds": seconds},
        )
    attempt = SignInAttempt(name_hash=target.name_hash, address_hash=target.address_hash)
    session.add(attempt)
    return attempt


async def reserve_address(session: AsyncSession, what: str, address: str, *, key: bytes) -> None:
    """Count what anybody may begin, for its address alone and apart from tries of passwords. Raises TooMany."""
    place = f"{what} {address}"
    await reserve(session, Target.of(place, place, key=key), per_account=PER_ADDRESS)


async def forgive(session: AsyncSession, attempt: SignInAttempt) -> None:
    """Take one try back: it was the right password. Earlier failures count on until they are old."""
    await session.execute(sa.delete(SignInAttempt).where(col(SignInAttempt.id) == attempt.id))


async def clean_up(session: AsyncSession) -> None:
    """Forget attempts that no longer count."""
    over = now() - timedelta(seconds=WINDOW_SECONDS)
    await session.execute(sa.delete(SignInAttempt).where(col(SignInAttempt.at) < over))


async def _take_turns(session: AsyncSession, target: Target) -> None:
    """Make tries at the same account or from the same address count one after another, until the transaction ends.

    SQLite has one writer anyway; on PostgreSQL two could otherwise count before either has added its own.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for number in sorted(int(hashed[:15], 16) for hashed in (target.name_hash, target.address_hash)):
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


async def _wait(session: AsyncSession, column: Mapped[str], value: str, *, limit: int, since: datetime) -> int:
    """Seconds until another try is allowed, 0 for now: when the `limit`-th latest try leaves the window."""
    at = await session.scalar(
        sa.select(col(SignInAttempt.at))
        .where(column == value, col(SignInAttempt.at) > since)
        .order_by(col(SignInAttempt.at).desc())
        .offset(limit - 1)
        .limit(1)
    )
    return 0 if at is None else max(1, math.ceil((at - since).total_seconds()))


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
