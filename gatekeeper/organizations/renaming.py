"""Another name for an organization: its repositories, collections and watchers follow."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import accounts
from gatekeeper.accounts import Organization, Principal
from gatekeeper.accounts.names import fold
from gatekeeper.community.collections_tables import Collection
from gatekeeper.notices.tables import WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos import moving
from gatekeeper.tokens import approval


async def rename(session: AsyncSession, organization: Organization, name: str, *, by: Principal) -> None:
    """Call the organization `name` from now on.

    Members, teams, tokens, grants, releases and evidence hang on ids and stay. Its repositories are found under their
    old names as well; the organization's own old name stays reserved for good. Raises NotAllowed unless `by`
    administrates it (or the hub) in person, Invalid for a bad name, Conflict for a taken one.
    """
    await approval.require_admin(session, organization, by=by)
    before = organization.name
    await accounts.organizations.rename(session, organization, name, by=by)
    await session.execute(
        sa.update(Collection)
        .where(col(Collection.namespace_key) == fold(before))
        .values(namespace_key=fold(organization.name))
    )
    await moving.follow(session, organization, by=by)
    await session.execute(
        sa.update(WebhookWatch)
        .where(col(WebhookWatch.key) == space_key(before))
        .values(key=space_key(organization.name), name=organization.name)
    )
