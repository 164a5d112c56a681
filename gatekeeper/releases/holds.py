"""Ways down and to the side: hold, resume, deprecate; demote, withdraw, embargo.

One maintainer suffices for the first three and for announcing an embargo, with a reason. The others are carried out
here once enough people agreed (`changes.py`).
"""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.accounts.principal import Principal
from gatekeeper.kit.clock import now
from gatekeeper.releases.approvals import maintainers
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.proposals import end_promotions
from gatekeeper.releases.rows import change, checked_reason
from gatekeeper.releases.stage_terms import bind
from gatekeeper.releases.tables import Act, Release, Stage
from gatekeeper.repos import catalogue
from gatekeeper.repos.tables import Repo


async def hold(session: AsyncSession, release: Release, *, by: Principal, reason: str) -> Release:
    """Stop all use of a release at once, because something may be wrong. Everybody who sees it reads the reason.

    Where an administrator of the hub does it, who is none of its maintainers, only such a one lifts it.
    """
    reason = checked_reason(reason, what="A hold")
    _must_not_be_withdrawn(release)
    if release.held_at is not None:
        raise errors.Conflict("The release is on hold already.", next_step="Resume it first to give another reason.")
    repo = await catalogue.by_id(session, release.repo_id)
    by_hub = repo is not None and by.person_id not in await maintainers(session, repo)
    values = {"held_at": now(), "hold_reason": reason, "is_hub_hold": by_hub}
    return await change(session, release, "hold", values, by=by, reason=reason, body={"by_hub": by_hub})


async def resume(session: AsyncSession, release: Release, *, by: Principal, reason: str = "") -> Release:
    """End a hold: the release is again what it was at its stage.

    Raises NotAllowed for a hold by the hub that somebody else than its administrators would lift.
    """
    _must_not_be_withdrawn(release)
    if release.held_at is None:
        raise errors.Conflict("The release is not on hold.", next_step="Reload the list of releases.")
    if release.is_hub_hold and not by.is_admin:
        raise errors.NotAllowed(
            "The administrators of this hub put the release on hold.",
            next_step="Ask them to lift it; say what was done about their reason.",
        )
    values = {"held_at": None, "hold_reason": "", "is_hub_hold": False}
    return await change(session, release, "resume", values, by=by, reason=reason.strip())


async def deprecate(session: AsyncSession, release: Release, *, by: Principal, reason: str) -> Release:
    """Advise against a release that stays available, or no longer advise against it if it was."""
    reason = checked_reason(reason, what="A deprecation")
    _must_not_be_withdrawn(release)
    is_ending = release.deprecated_at is not None
    values = {"deprecated_at": None if is_ending else now()}
    return await change(session, release, "undeprecate" if is_ending else "deprecate", values, by=by, reason=reason)


async def demote(
    session: AsyncSession,
    release: Release,
    target: Stage,
    *,
    by: Principal,
    reason: str,
    ladder: Ladder,
    body: dict[str, Any] | None = None,
) -> Release:
    """Put a release back to a lower stage. Up again it comes only by a new proposal: open ones end."""
    reason = checked_reason(reason, what="A demotion")
    check(release, Act.DEMOTE, ladder=ladder, target=target)
    await end_promotions(session, release, by=by, because="demote")
    repo = await session.get_one(Repo, release.repo_id)
    bundle_sha256 = await bind(session, repo, release, target, by=by, ladder=ladder)
    values = {"stage": target, "staged_at": now(), "bundle_sha256": bundle_sha256}
    return await change(session, release, "demote", values, by=by, reason=reason, body=body)


async def withdraw(
    session: AsyncSession, release: Release, *, by: Principal, reason: str, body: dict[str, Any] | None = None
) -> Release:
    """Take a release back for good. A tombstone with the reason and the license text stays."""
    reason = checked_reason(reason, what="A withdrawal")
    _must_not_be_withdrawn(release)
    await end_promotions(session, release, by=by, because="withdraw")
    values = {"withdrawn_at": now(), "hold_reason": reason}
    return await change(session, release, "withdraw", values, by=by, reason=reason, body=body)


async def embargo(
    session: AsyncSession,
    release: Release,
    until: datetime | None,
    *,
    by: Principal,
    reason: str,
    body: dict[str, Any] | None = None,
) -> Release:
    """Announce that nothing of the release is given out before an instant; None lifts the embargo.

    An embargo that was announced can be lengthened or lifted, not shortened. It ends by `embargoes.open_or_hold` alone.
    """
    reason = checked_reason(reason, what="An embargo")
    _must_not_be_withdrawn(release)
    _check_embargo(release, until)
    act = "embargo" if until else "lift"
    return await change(session, release, act, {"embargoed_until": until}, by=by, reason=reason, body=body)


def check(
    release: Release, act: Act, *, ladder: Ladder, target: Stage | None = None, until: datetime | None = None
) -> None:
    """Raise Invalid or Conflict for a change that makes no sense as the release stands."""
    _must_not_be_withdrawn(release)
    match act:
        case Act.DEMOTE:
            if target is None or ladder.rank(target) >= ladder.rank(release.stage):
                raise errors.Invalid(
                    f"“{target}” is not below “{release.stage}”.",
                    next_step="Choose a lower stage, or propose a promotion.",
                )
        case Act.EMBARGO | Act.LIFT:
            _check_embargo(release, until if act is Act.EMBARGO else None)
        case Act.PROMOTE:
            raise errors.Invalid("A promotion is proposed.", next_step="Propose it with its target stage.")


def _check_embargo(release: Release, until: datetime | None) -> None:
    announced = release.embargoed_until
    if until is None and announced is None:
        raise errors.Conflict("The release is not under embargo.", next_step="Reload the list of releases.")
    if until is None:
        return
    if until <= now():
        raise errors.Invalid("The embargo's end lies in the past.", next_step="Choose a later instant.")
    if announced is not None and until < announced:
        raise errors.Invalid(
            "An announced embargo is lengthened or lifted, not shortened.",
            next_step="Lift it, or name a later instant.",
        )


def _must_not_be_withdrawn(release: Release) -> None:
    if release.withdrawn_at is not None:
        raise errors.Conflict(
            "The release was withdrawn for good.", next_step="Release another revision of the repository."
        )
