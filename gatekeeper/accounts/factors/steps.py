"""Steps: what a browser has begun and has to finish itself, soon, and once."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.factors.tables import SignInStep, StepKind
from gatekeeper.errors import NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash, new_secret

PREFIX = "gt_"
LIFE_SECONDS = 600


async def start(
    session: AsyncSession,
    kind: StepKind,
    *,
    key: bytes,
    person_id: str | None = None,
    challenge: bytes = b"",
    arrival: dict[str, Any] | None = None,
) -> str:
    """A step, and the secret for its cookie. The secret is not stored.

    arrival  what is to be remembered with the session, if a provider's sign-in began it
    """
    secret = new_secret(PREFIX)
    session.add(
        SignInStep(
            kind=kind,
            secret_hash=keyed_hash(key, secret),
            person_id=person_id,
            challenge=challenge,
            arrival=arrival,
            expires_at=now() + timedelta(seconds=LIFE_SECONDS),
        )
    )
    return secret


async def find(session: AsyncSession, kind: StepKind, secret: str, *, key: bytes) -> SignInStep:
    """The step that this browser began. Raises NotSignedIn when there is none, or its time is over."""
    step = None
    if is_well_formed(secret, PREFIX):
        step = await session.scalar(
            sa.select(SignInStep).where(
                col(SignInStep.secret_hash) == keyed_hash(key, secret),
                col(SignInStep.kind) == kind,
                col(SignInStep.expires_at) > now(),
            )
        )
    if step is None:
        raise _over()
    return step


async def use(session: AsyncSession, step: SignInStep) -> None:
    """Finish a step. Raises NotSignedIn for whoever comes second."""
    done = await session.execute(
        sa.delete(SignInStep).where(col(SignInStep.id) == step.id).returning(col(SignInStep.id))
    )
    if done.first() is None:
        raise _over()


async def forget(session: AsyncSession, person_id: str) -> None:
    """Let nothing that was begun for a person be finished: their password, factors or identities have changed."""
    await session.execute(sa.delete(SignInStep).where(col(SignInStep.person_id) == person_id))


async def clean_up(session: AsyncSession) -> None:
    """Forget steps that nobody finished."""
    await session.execute(sa.delete(SignInStep).where(col(SignInStep.expires_at) <= now()))


def _over() -> NotSignedIn:
    return NotSignedIn("This sign-in took too long, or was begun elsewhere.", next_step="Start again.")
