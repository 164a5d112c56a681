"""Which factors a person has."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.factors import recovery
from gatekeeper.accounts.factors.tables import Passkey, Totp


@dataclass(frozen=True)
class Held:
    """A person's factors. `codes_left` counts unused recovery codes."""

    has_app: bool
    passkeys: tuple[Passkey, ...]
    codes_left: int

    @property
    def any(self) -> bool:
        """Whether signing in with a password takes a second step."""
        return self.has_app or bool(self.passkeys)


async def held(session: AsyncSession, person_id: str) -> Held:
    """The factors of a person, confirmed ones only."""
    app = await session.scalar(
        sa.select(col(Totp.person_id)).where(col(Totp.person_id) == person_id, col(Totp.confirmed_at).is_not(None))
    )
    keys = await session.scalars(
        sa.select(Passkey).where(col(Passkey.person_id) == person_id).order_by(col(Passkey.created_at), col(Passkey.id))
    )
    return Held(app is not None, tuple(keys), await recovery.left(session, person_id))
