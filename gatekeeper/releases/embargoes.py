"""The end of an embargo: nothing opens by the clock alone. At the instant every criterion is checked again.

Until that check a release stays closed, also when its instant has passed: if nothing runs that could check, nothing
opens. Green opens it; red holds it, with what failed as the reason, and is an alarm.
"""

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import OPERATOR
from gatekeeper.kit.clock import now
from gatekeeper.releases import criteria
from gatekeeper.releases.criteria import Candidate, Finding
from gatekeeper.releases.ladder import Ladder
from gatekeeper.releases.organization_rules import ladder_for
from gatekeeper.releases.rows import MAX_REASON_CHARS, change
from gatekeeper.releases.tables import Act, Proposal, ProposalState, Release
from gatekeeper.repos import catalogue, manifests
from gatekeeper.repos.tables import Repo

# Of a release that stands at its stage already.
_NOT_ASKED = frozenset({"below_target", "soak_time", "testers"})

_log = structlog.get_logger("gatekeeper.releases")


async def due(session: AsyncSession) -> list[str]:
    """Ids of releases whose embargo's instant has come and that nothing else stops, oldest first."""
    found = await session.scalars(
        sa.select(col(Release.id))
        .where(
            col(Release.embargoed_until) <= now(), col(Release.held_at).is_(None), col(Release.withdrawn_at).is_(None)
        )
        .order_by(col(Release.embargoed_until))
    )
    return list(found)


async def open_or_hold(session: AsyncSession, release_id: str, *, ladder: Ladder) -> Release:
    """Open a release whose embargo is over if every criterion of its stage is green, else hold it.

    The embargo stays with a held one: once the hold is lifted, all is checked again.
    """
    release = await session.get_one(Release, release_id, populate_existing=True)
    if release.held_at or release.withdrawn_at or release.embargoed_until is None or release.embargoed_until > now():
        return release
    repo = await catalogue.by_id(session, release.repo_id)
    red = await _red(session, repo, release, ladder) if repo else ["The repository was deleted."]
    if not red:
        return await change(session, release, "open", {"embargoed_until": None}, by=OPERATOR)
    reason = f"At the end of the embargo not every criterion was met. {' '.join(red)}"[:MAX_REASON_CHARS]
    _log.error("a release did not open at the end of its embargo", release=release.id, unmet=len(red))
    values = {"held_at": now(), "hold_reason": reason, "is_hub_hold": False}
    return await change(session, release, "hold", values, by=OPERATOR, reason=reason, body={"unmet": red})


async def _red(session: AsyncSession, repo: Repo, release: Release, ladder: Ladder) -> list[str]:
    """What is not met on these files now, waivers of the promotion counted."""
    if (await manifests.manifest(session, repo, release.commit_id)).sha256 != release.manifest_sha256:
        return ["The files are not those that were released."]
    candidate = Candidate(repo, release, release.stage, await ladder_for(session, repo, ladder))
    waived = await _waived(session, release)
    findings: list[Finding] = await criteria.check(session, candidate)
    return [
        finding.detail
        for finding in findings
        if not finding.is_met and finding.id not in _NOT_ASKED and finding.id not in waived
    ]


async def _waived(session: AsyncSession, release: Release) -> set[str]:
    """Criteria waived by the promotion that brought it to its stage."""
    promotion = await session.scalar(
        sa.select(Proposal)
        .where(
            col(Proposal.release_id) == release.id,
            col(Proposal.act) == Act.PROMOTE,
            col(Proposal.state) == ProposalState.EFFECTIVE,
            col(Proposal.target) == release.stage,
        )
        .order_by(col(Proposal.effective_at).desc())
        .limit(1)
    )
    return {row["id"] for row in promotion.criteria if row.get("waived_by")} if promotion else set()
