"""Another name for a person or an organization: repositories, collections and watchers follow."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import accounts
from gatekeeper.accounts import Organization, Person, Principal
from gatekeeper.accounts.names import fold
from gatekeeper.community.collections_tables import Collection
from gatekeeper.notices.tables import WebhookWatch
from gatekeeper.notices.webhooks import space_key
from gatekeeper.repos import moving
from gatekeeper.tokens import approval


async def rename(session: AsyncSession, owner: Person | Organization, name: str, *, by: Principal) -> None:
    """Call a person or an organization `name` from now on.

    Members, teams, tokens, grants, releases and evidence hang on ids and stay. Repositories are found under their old
    names as well; the old name of `owner` stays reserved. Raises NotAllowed unless `by` is that person or administrates
    the organization (or the hub), in person, Invalid for a bad name, Conflict for a taken one.
    """
    before = owner.name
    if isinstance(owner, Person):
        await accounts.people.rename(session, owner, name, by=by)
    else:
        await approval.require_admin(session, owner, by=by)
        await accounts.organizations.rename(session, owner, name, by=by)
    await session.execute(
        sa.update(Collection)
        .where(col(Collection.namespace_key) == fold(before))
        .values(namespace_key=fold(owner.name))
    )
    await moving.follow(session, owner, by=by)
    await session.execute(
        sa.update(WebhookWatch)
        .where(col(WebhookWatch.key) == space_key(before))
        .values(key=space_key(owner.name), name=owner.name)
    )
