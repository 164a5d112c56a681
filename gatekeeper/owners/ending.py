"""The end of an organization: nothing of it opens anything any more, and its name is nobody's."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import accounts, tokens
from gatekeeper.accounts import Organization, Principal
from gatekeeper.accounts.names import fold
from gatekeeper.community import collections
from gatekeeper.community.collections_tables import Collection
from gatekeeper.notices.tables import WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.owners.foresight import foresee
from gatekeeper.tokens import approval, services


async def delete(session: AsyncSession, organization: Organization, *, by: Principal) -> None:
    """End the organization. It cannot be taken back.

    Its service accounts and their tokens, tokens limited to it, teams, invitations, memberships and collections end
    with it. Evidence, and what its members did, stays. Raises NotAllowed unless `by` administrates it (or the hub) in
    person, Conflict while it has repositories.
    """
    await approval.require_admin(session, organization, by=by)
    # Locked first, so that nothing is given to an organization that is ending.
    await session.execute(
        sa.select(col(Organization.id)).where(col(Organization.id) == organization.id).with_for_update()
    )
    if obstacle := (await foresee(session, organization)).obstacle:
        raise obstacle
    for service in await services.list_of(session, organization, by=by):
        await services.remove(session, organization, service.person.id, by=by)
    await tokens.forget_organization(session, organization, by=by)
    own = [col(Collection.namespace_key) == fold(organization.name)]
    while some := await collections.listing(session, where=own):
        for listed in some:
            await collections.delete(session, listed, by=by)
    await session.execute(sa.delete(WebhookWatch).where(col(WebhookWatch.key) == space_key(organization.name)))
    await accounts.organizations.close(session, organization, by=by)
