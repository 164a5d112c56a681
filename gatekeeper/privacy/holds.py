"""Legal holds: what a claim needs is neither erased nor cleared while it is open (GDPR 17(3)(e))."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.privacy.tables import LegalHold

_LONGEST_REASON = 500


async def hold(session: AsyncSession, person: Person, *, reason: str, by: Principal) -> LegalHold:
    """Keep a person's records until the hold is lifted. Raises NotAllowed, Invalid, Conflict when there is one."""
    _require_admin(by)
    reason = reason.strip()
    if not reason or len(reason) > _LONGEST_REASON:
        raise Invalid(
            f"A hold has a reason of at most {_LONGEST_REASON} characters.", next_step="Name the claim it serves."
        )
    if await hold_on(session, person.id) is not None:
        raise Conflict(f"There is a hold on {person.name} already.", next_step="Lift it first to give another reason.")
    made = LegalHold(person_id=person.id, reason=reason, placed_by=by.person_id)
    session.add(made)
    await ledger.record(session, "privacy:hold:place", actor=by.person_id, token=by.token_id, subject=person.id)
    return made


async def lift_hold(session: AsyncSession, person: Person, *, by: Principal) -> None:
    """End the hold. Raises NotAllowed, NotFound."""
    _require_admin(by)
    if await hold_on(session, person.id) is None:
        raise NotFound(f"There is no hold on {person.name}.", next_step="Check the name.")
    await session.execute(sa.delete(LegalHold).where(col(LegalHold.person_id) == person.id))
    await ledger.record(session, "privacy:hold:lift", actor=by.person_id, token=by.token_id, subject=person.id)


async def hold_on(session: AsyncSession, person_id: str) -> LegalHold | None:
    """The hold on a person, None if there is none."""
    return await session.get(LegalHold, person_id)


def _require_admin(by: Principal) -> None:
    if not by.is_admin:
        raise NotAllowed("Only an administrator of this hub may do this.", next_step="Ask an administrator.")
