"""What safety an order must meet: what its stage asks, what its license asks, and what the person's strikes add."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.generation import strikes
from gatekeeper.generation.safety import Safety, SafetyLevel
from gatekeeper.licensing import Catalogue, Known, Terms


async def demanded(
    session: AsyncSession, principal: Principal, known: Sequence[Known | None], level: SafetyLevel, *, safety: Safety
) -> SafetyLevel:
    """The stage's level, made stricter by the license in force and by the person's strikes; never weaker.

    known  what the texts in force for the commit at its stage are, see `licenses_of`
    Raises NotAllowed (SafetyReview) while so many strikes of the person wait for a review that orders wait with them.
    """
    level = under_license(level, safety, known)
    standing = await strikes.standing(session, principal.person_id or "", safety.strikes)
    if standing.needs_review:
        raise errors.NotAllowed(
            f"Safety stopped {standing.open} of your orders, and no more are taken before somebody has looked at them.",
            code="SafetyReview",
            next_step="See what fired, and appeal where it was wrong, at /settings/safety. A maintainer reviews it.",
        )
    return level.stricter(safety.strikes.sld_level, safety.strikes.margin) if standing.is_strict else level


async def licenses_of(session: AsyncSession, bundle: Terms | None, *, catalogue: Catalogue) -> list[Known | None]:
    """What license each text of the terms is, None for one that nobody has recognized."""
    texts = bundle.texts if bundle else ()
    return [await licensing.recognized(session, sha256, catalogue=catalogue) for sha256 in texts]


def under_license(level: SafetyLevel, safety: Safety, known: Sequence[Known | None]) -> SafetyLevel:
    """A level under these texts; None is a text that nobody has recognized, which counts as `unlisted`."""
    for each in known:
        if (least := safety.licenses.get(each.family if each else "unlisted")) is not None:
            level = level.raised(least)
    restrictions = dict.fromkeys(restriction for each in known if each for restriction in each.restrictions)
    return replace(level, restrictions=tuple(restrictions))
