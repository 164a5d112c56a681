"""What hangs on a name, and on an organization: said before it is renamed or deleted."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Organization, Person
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.oidc.tables import MappedMembership
from gatekeeper.accounts.tables import Membership
from gatekeeper.accounts.team_tables import MembershipOffer, Team
from gatekeeper.community.collections_tables import Collection
from gatekeeper.errors import Conflict
from gatekeeper.notices.tables import WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos.owned import Owned, owned_by
from gatekeeper.tokens.tables import ServiceAccount


@dataclass(frozen=True, kw_only=True)
class Named:
    """What is called after a person or an organization.

    watches  webhooks that watch the name
    """

    repositories: Owned
    collections: int
    watches: int


@dataclass(frozen=True, kw_only=True)
class Foreseen(Named):
    """What there is of an organization.

    mapped  memberships that come from groups at a sign-in provider, whose settings name the organization
    """

    members: int
    mapped: int
    teams: int
    invitations: int
    services: int

    @property
    def obstacle(self) -> Conflict | None:
        """What must be settled before it can be deleted, None if nothing stands in the way."""
        if not self.repositories:
            return None
        return Conflict(
            f"There are repositories of this organization: {self.repositories}.",
            next_step="Transfer or delete them first.",
        )


async def named(session: AsyncSession, owner: Person | Organization) -> Named:
    """What is called after `owner` now."""
    return Named(
        repositories=await owned_by(session, owner.id),
        collections=await _count(session, col(Collection.namespace_key) == fold(owner.name)),
        watches=await _count(session, col(WebhookWatch.key) == space_key(owner.name)),
    )


async def foresee(session: AsyncSession, organization: Organization) -> Foreseen:
    """What hangs on it now. Changes nothing."""
    live = (col(ServiceAccount.organization_id) == organization.id) & col(ServiceAccount.removed_at).is_(None)
    return Foreseen(
        **vars(await named(session, organization)),
        members=await _count(session, col(Membership.organization_id) == organization.id),
        mapped=await _count(session, col(MappedMembership.organization_id) == organization.id),
        teams=await _count(session, col(Team.organization_id) == organization.id),
        invitations=await _count(session, col(MembershipOffer.organization_id) == organization.id),
        services=await _count(session, live),
    )


async def _count(session: AsyncSession, condition: sa.ColumnElement[bool]) -> int:
    return await session.scalar(sa.select(sa.func.count()).where(condition)) or 0
