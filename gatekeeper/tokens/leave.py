"""Ending what acts for a person: all of it, or what somebody found in the open."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Organization, Person, Principal, Reach
from gatekeeper.errors import NotAllowed
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash
from gatekeeper.tokens.issue import PREFIX, end, end_children, list_for
from gatekeeper.tokens.limits import reach_of
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.tables import AccessToken, TokenPolicy, TokenVerdict


async def revoke_all(session: AsyncSession, person: Person, *, by: Principal) -> int:
    """End every live token and grant of `person`; returns how many. Raises NotAllowed unless they or an administrator
    ask, in person.
    """
    if by.token_id is not None or not (by.is_admin or by.person_id == person.id):
        raise NotAllowed("Tokens are revoked by their owner.", next_step="Sign in as the person they belong to.")
    live = await list_for(session, person.id)
    await end(session, live, by=by)
    connected = await grants.list_for(session, person.id)
    for grant in connected:
        await grants.end(session, grant, actor=by.person_id, why="asked")
    return len(live) + len(connected)


async def forget_organization(session: AsyncSession, organization: Organization, *, by: Principal) -> None:
    """End the live tokens that reach nothing but this organization, and forget what it said to tokens."""
    named = sa.cast(col(AccessToken.reach), sa.Text).contains(organization.id, autoescape=True)
    rows = await session.scalars(sa.select(AccessToken).where(named, col(AccessToken.revoked_at).is_(None)))
    only = Reach(owners=frozenset({organization.id}))
    await end(session, [token for token in rows if reach_of(token) == only], by=by)
    for table in (TokenVerdict, TokenPolicy):
        await session.execute(sa.delete(table).where(col(table.organization_id) == organization.id))


async def report_leaked(session: AsyncSession, secret: str, *, key: bytes) -> None:
    """Somebody shows a secret that they found: what it opens ends, with everything else of the same grant.

    Holding it is the right to end it. Nothing is returned, so that nobody learns here which secrets are good.

    secret  untrusted, of any length and any characters
    """
    if not secret.isascii():
        return
    if found := await grants.held(session, secret, key=key):
        await grants.end(session, found.grant, actor=None, why="reported as leaked")
        return
    if not is_well_formed(secret, PREFIX):
        return
    token = await session.scalar(
        sa.select(AccessToken).where(col(AccessToken.secret_hash) == keyed_hash(key, secret)).with_for_update()
    )
    if token is not None and token.revoked_at is None:
        token.revoked_at = now()
        session.add(token)
        await end_children(session, [token.id])
        await ledger.record(session, "tokens:token:revoke", subject=token.id, body={"why": "reported as leaked"})
