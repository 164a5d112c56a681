"""Who counts when a promotion is approved: maintainers, without who uploaded or proposed while others are there."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import memberships
from gatekeeper.accounts.tables import Membership, Person, Role
from gatekeeper.ledger import LedgerEvent
from gatekeeper.releases.ladder import StageRule
from gatekeeper.releases.tables import Approval, Proposal, Release
from gatekeeper.repos import team_rights
from gatekeeper.repos.tables import Repo


@dataclass(frozen=True, slots=True)
class Quorum:
    """How the approvals stand.

    eligible          people whose yes counts
    approved_by       those of them who said it
    is_self_approved  the only maintainer approved their own, as the stage permits
    """

    needed: int
    eligible: frozenset[str]
    approved_by: tuple[str, ...]
    is_self_approved: bool = False

    @property
    def counted(self) -> int:
        """Approvals that count."""
        return len(self.approved_by)

    @property
    def is_reached(self) -> bool:
        """Whether enough people said yes."""
        return self.counted >= self.needed

    @property
    def sentence(self) -> str:
        """How it stands, for a person."""
        if self.needed > len(self.eligible):
            return (
                f"It needs {self.needed} approvals and only {len(self.eligible)} people may give one: "
                "who uploaded or proposed it does not count. Add another maintainer."
            )
        return f"{self.counted} of {self.needed} approvals are given."


async def maintainers(session: AsyncSession, repo: Repo) -> frozenset[str]:
    """People who may decide promotions: the owner, or administrators of the owning organization, or of its teams."""
    owners = {repo.owner_person_id} if repo.owner_person_id else set()
    if repo.owner_organization_id:
        owners |= set(
            await session.scalars(
                sa.select(col(Membership.person_id)).where(
                    col(Membership.organization_id) == repo.owner_organization_id,
                    col(Membership.role) == Role.ADMIN,
                    memberships.counts(),
                )
            )
        )
        owners |= set(await session.scalars(team_rights.people_with(repo, Role.ADMIN)))
    return frozenset(
        await session.scalars(
            sa.select(col(Person.id)).where(col(Person.id).in_(owners), col(Person.is_disabled).is_(False))
        )
    )


async def uploader(session: AsyncSession, release: Release) -> str | None:
    """Who made the released commit, as the evidence has it."""
    found: str | None = await session.scalar(
        sa.select(col(LedgerEvent.actor_id)).where(
            col(LedgerEvent.subject_id) == release.commit_id,
            col(LedgerEvent.repo_id) == release.repo_id,
            col(LedgerEvent.kind) == "repos:branch:commit",
        )
    )
    return found


async def quorum(session: AsyncSession, repo: Repo, release: Release, proposal: Proposal, rule: StageRule) -> Quorum:
    """Count the approvals of a proposal by the rule of its stage, with the maintainers of this moment."""
    everybody = await maintainers(session, repo)
    made_it = await uploader(session, release)
    given = await session.scalars(
        sa.select(col(Approval.person_id)).where(col(Approval.proposal_id) == proposal.id).order_by(col(Approval.id))
    )
    people = list(given)
    # Who did not upload may approve their own proposal where nobody else is left: they are the second pair of eyes.
    eligible = everybody - {made_it, proposal.proposed_by} or everybody - {made_it}
    is_alone = not eligible and len(everybody) == 1
    if is_alone and rule.sole_maintainer:
        eligible = everybody
    approved_by = tuple(person for person in people if person in eligible)
    return Quorum(rule.approvals, eligible, approved_by, is_self_approved=is_alone and bool(approved_by))
