"""What safety an order must meet: what its stage asks, what its license asks, and what the person's strikes add."""

from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.generation import strikes
from gatekeeper.generation.safety import Safety, SafetyLevel
from gatekeeper.licensing import Catalogue, Known, Terms


async def demanded(
    session: AsyncSession,
    principal: Principal,
    bundle: Terms | None,
    level: SafetyLevel,
    *,
    safety: Safety,
    catalogue: Catalogue,
) -> SafetyLevel:
    """The stage's level, made stricter by the license in force and by the person's strikes; never weaker.

    bundle  the terms in force for the commit at its stage, None for none
    Raises NotAllowed (SafetyReview) while so many strikes of the person wait for a review that orders wait with them.
    """
    texts = bundle.texts if bundle else ()
    known = [await licensing.recognized(session, sha256, catalogue=catalogue) for sha256 in texts]
    level = under_license(level, safety, known)
    standing = await strikes.standing(session, principal.person_id or "", safety.strikes)
    if standing.needs_review:
        raise errors.NotAllowed(
            f"Safety stopped {standing.open} of your orders, and no more are taken before somebody has looked at them.",
            code="SafetyReview",
            next_step="See what fired, and appeal where it was wrong, at /settings/safety. A maintainer reviews it.",
        )
    return level.stricter(safety.strikes.sld_level, safety.strikes.margin) if standing.is_strict else level


def under_license(level: SafetyLevel, safety: Safety, known: list[Known | None]) -> SafetyLevel:
    """A level under these texts; None is a text that nobody has recognized, which counts as `unlisted`."""
    for each in known:
        if (least := safety.licenses.get(each.family if each else "unlisted")) is not None:
            level = level.raised(least)
    restrictions = dict.fromkeys(restriction for each in known if each for restriction in each.restrictions)
    return replace(level, restrictions=tuple(restrictions))
