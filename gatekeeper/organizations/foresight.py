"""What hangs on an organization: said before it is renamed or deleted."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Organization
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.oidc.tables import MappedMembership
from gatekeeper.accounts.tables import Membership
from gatekeeper.accounts.team_tables import MembershipOffer, Team
from gatekeeper.community.collections_tables import Collection
from gatekeeper.errors import Conflict
from gatekeeper.notices.tables import WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos.tables import Repo
from gatekeeper.tokens.tables import ServiceAccount


@dataclass(frozen=True)
class Foreseen:
    """What there is.

    repositories  names of those that are the organization's
    mapped        memberships that come from groups at a sign-in provider, whose settings name the organization
    watches       webhooks that watch its name
    """

    repositories: Sequence[str]
    members: int
    mapped: int
    teams: int
    invitations: int
    services: int
    collections: int
    watches: int

    @property
    def obstacle(self) -> Conflict | None:
        """What must be settled before it can be deleted, None if nothing stands in the way."""
        if not self.repositories:
            return None
        names = ", ".join(self.repositories[:10])
        more = f" and {len(self.repositories) - 10} more" if len(self.repositories) > 10 else ""
        return Conflict(
            f"There are repositories of this organization: {names}{more}.", next_step="Transfer or delete them first."
        )


async def foresee(session: AsyncSession, organization: Organization) -> Foreseen:
    """What hangs on it now. Changes nothing."""
    repositories = await session.scalars(
        sa.select(Repo)
        .where(col(Repo.owner_organization_id) == organization.id, col(Repo.key).is_not(None))
        .order_by(col(Repo.key))
    )

    async def count(condition: sa.ColumnElement[bool]) -> int:
        return await session.scalar(sa.select(sa.func.count()).where(condition)) or 0

    return Foreseen(
        repositories=[repo.full_name for repo in repositories],
        members=await count(col(Membership.organization_id) == organization.id),
        mapped=await count(col(MappedMembership.organization_id) == organization.id),
        teams=await count(col(Team.organization_id) == organization.id),
        invitations=await count(col(MembershipOffer.organization_id) == organization.id),
        services=await count(
            (col(ServiceAccount.organization_id) == organization.id) & col(ServiceAccount.removed_at).is_(None)
        ),
        collections=await count(col(Collection.namespace_key) == fold(organization.name)),
        watches=await count(col(WebhookWatch.key) == space_key(organization.name)),
    )
