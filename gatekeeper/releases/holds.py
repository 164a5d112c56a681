"""Ways down and to the side: hold, resume, demote, withdraw, embargo. One maintainer suffices, with a reason."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.rows import change, checked_reason
from gatekeeper.releases.tables import Release, Stage


async def hold(
    session: AsyncSession, release: Release, *, by: Principal, reason: str, policy: str | None = None
) -> Release:
    """Stop all use of a release at once, because something may be wrong. Everybody who sees it reads the reason."""
    reason = checked_reason(reason, what="A hold")
    _must_not_be_withdrawn(release)
    if release.held_at is not None:
        raise errors.Conflict("The release is on hold already.", next_step="Resume it first to give another reason.")
    values = {"held_at": now(), "hold_reason": reason}
    return await change(session, release, "hold", values, by=by, reason=reason, policy=policy)


async def resume(
    session: AsyncSession, release: Release, *, by: Principal, reason: str = "", policy: str | None = None
) -> Release:
    """End a hold: the release is again what it was at its stage."""
    _must_not_be_withdrawn(release)
    if release.held_at is None:
        raise errors.Conflict("The release is not on hold.", next_step="Reload the list of releases.")
    values = {"held_at": None, "hold_reason": ""}
    return await change(session, release, "resume", values, by=by, reason=reason.strip(), policy=policy)


async def demote(
    session: AsyncSession,
    release: Release,
    target: Stage,
    *,
    by: Principal,
    reason: str,
    ladder: Ladder,
    policy: str | None = None,
) -> Release:
    """Put a release back to a lower stage. Up again it comes only by a new proposal."""
    reason = checked_reason(reason, what="A demotion")
    _must_not_be_withdrawn(release)
    if ladder.rank(target) >= ladder.rank(release.stage):
        raise errors.Invalid(
            f"“{target}” is not below “{release.stage}”.", next_step="Choose a lower stage, or propose a promotion."
        )
    values = {"stage": target, "staged_at": now()}
    return await change(session, release, "demote", values, by=by, reason=reason, policy=policy)


async def withdraw(
    session: AsyncSession, release: Release, *, by: Principal, reason: str, policy: str | None = None
) -> Release:
    """Take a release back for good. A tombstone with the reason and the license text stays."""
    reason = checked_reason(reason, what="A withdrawal")
    _must_not_be_withdrawn(release)
    values = {"withdrawn_at": now(), "hold_reason": reason}
    return await change(session, release, "withdraw", values, by=by, reason=reason, policy=policy)


async def embargo(
    session: AsyncSession,
    release: Release,
    until: datetime | None,
    *,
    by: Principal,
    reason: str,
    policy: str | None = None,
) -> Release:
    """Announce that nothing of the release is given out before an instant; None lifts the embargo.

    An embargo that runs can be lengthened or lifted, not quietly shortened.
    """
    reason = checked_reason(reason, what="An embargo")
    _must_not_be_withdrawn(release)
    at = now()
    if until is not None and until <= at:
        raise errors.Invalid("The embargo's end lies in the past.", next_step="Choose a later instant.")
    runs = release.embargoed_until is not None and release.embargoed_until > at
    if until is None and not runs:
        raise errors.Conflict("The release is not under embargo.", next_step="Reload the list of releases.")
    if until is not None and runs and release.embargoed_until is not None and until < release.embargoed_until:
        raise errors.Invalid(
            "An announced embargo is lengthened or lifted, not shortened.",
            next_step="Lift it, or name a later instant.",
        )
    act = "embargo" if until else "lift"
    return await change(session, release, act, {"embargoed_until": until}, by=by, reason=reason, policy=policy)


def _must_not_be_withdrawn(release: Release) -> None:
    if release.withdrawn_at is not None:
        raise errors.Conflict(
            "The release was withdrawn for good.", next_step="Release another revision of the repository."
        )
