"""Who counts when a promotion is approved: maintainers, without who uploaded or proposed while others are there."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import memberships
from gatekeeper.accounts.tables import Membership, Person, Role
from gatekeeper.releases.ladder import StageRule
from gatekeeper.releases.makers import makers
from gatekeeper.releases.proposals import approvals_of, still_counts
from gatekeeper.releases.tables import Proposal, Release
from gatekeeper.repos import team_rights
from gatekeeper.repos.tables import Repo


@dataclass(frozen=True, slots=True)
class Quorum:
    """How the approvals stand.

    eligible          people whose yes counts
    given_by          whoever said it to what stands there now
    approved_by       those of them whose yes counts
    lapsed            how many said it to what has changed since
    is_self_approved  the only maintainer approved their own, as the stage permits
    """

    needed: int
    eligible: frozenset[str]
    given_by: frozenset[str]
    approved_by: tuple[str, ...]
    lapsed: int
    is_self_approved: bool

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
        said = f"{self.counted} of {self.needed} approvals are given."
        if self.lapsed and not self.is_reached:
            said += " Earlier ones count no more: the release has changed since, or a criterion was waived."
        return said


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


async def quorum(
    session: AsyncSession,
    repo: Repo,
    release: Release,
    proposal: Proposal,
    rule: StageRule,
    *,
    is_always_open: bool = False,
) -> Quorum:
    """Count the approvals of a proposal by the rule of its stage, with the maintainers of this moment.

    is_always_open  where too few people without a part in it are left, those with one count, down to who proposed it;
                    where too few are left at all, all of them suffice
    """
    everybody, made = await maintainers(session, repo), await makers(session, release)
    given = await approvals_of(session, proposal)
    standing = [approval.person_id for approval in given if still_counts(approval, proposal, release)]
    had_part = made.authors | made.handlers
    proposer = {proposal.proposed_by}
    is_alone = len(everybody) == 1 and everybody <= had_part
    # Where nobody else is left: who did not make it may approve their own proposal, then who only merged another's
    # work. Each is the second pair of eyes.
    circles = [everybody - had_part - proposer, everybody - had_part, everybody - made.authors]
    needed = rule.approvals
    if is_always_open:
        circles += [everybody - proposer, everybody]
        needed = min(needed, len(everybody) or needed)
        eligible = next((circle for circle in circles if len(circle) >= needed), everybody)
    elif is_alone:
        eligible = everybody if rule.sole_maintainer else frozenset()
    else:
        eligible = next(filter(None, circles), frozenset())
    approved_by = tuple(person for person in standing if person in eligible)
    return Quorum(
        needed=needed,
        eligible=eligible,
        given_by=frozenset(standing),
        approved_by=approved_by,
        lapsed=len(given) - len(standing),
        is_self_approved=is_alone and bool(approved_by),
    )
