"""Refresh tokens: used once, and a second use is taken for theft, except for a moment.

The public client keeps its processes apart with a lock on a file. Where that does not reach (a copied home directory,
an answer lost on the way) an honest client sends a token that was just replaced. Killing the family at once signs such
people out everywhere, so a replaced token works a little longer and gives each sender a successor of its own; whoever
comes later than that, or too often, ends the whole family (RFC 9700, 4.14.2).
"""

import hmac
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Person
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.grants import GRANT_DAYS, REFRESH_PREFIX
from gatekeeper.tokens.oauth.tables import Grant, RefreshToken

GRACE_SECONDS = 60
MOST_USES = 4


async def redeem(session: AsyncSession, secret: str, client: Client, *, key: bytes) -> tuple[Grant, Person] | None:
    """Use up a refresh token; None where it is worth nothing.

    A use after the grace, or one too many, ends the grant with all its tokens: the caller must commit although it
    refuses. A token of another application is refused and nothing else: its owner did nothing wrong.
    """
    if not is_well_formed(secret, REFRESH_PREFIX):
        return None
    digest = keyed_hash(key, secret)
    grant_id = await session.scalar(
        sa.select(col(RefreshToken.grant_id)).where(col(RefreshToken.secret_hash) == digest)
    )
    grant = await grants.locked(session, grant_id) if grant_id else None
    if grant is None or grant.revoked_at is not None or grant.client_id != client.client_id:
        return None
    token = await session.scalar(
        sa.select(RefreshToken)
        .where(col(RefreshToken.secret_hash) == digest)
        .execution_options(populate_existing=True)  # read again now that the grant is locked
    )
    person = await session.get(Person, grant.person_id)
    if token is None or person is None or not hmac.compare_digest(token.secret_hash, digest):
        return None
    instant = now()
    if token.rotated_at is not None and (
        instant > token.rotated_at + timedelta(seconds=GRACE_SECONDS) or token.uses >= MOST_USES
    ):
        await grants.end(session, grant, actor=None, why="a refresh token was used again")
        return None
    if instant >= token.expires_at or person.is_disabled:
        return None
    if instant >= grant.created_at + timedelta(days=GRANT_DAYS):
        await grants.end(session, grant, actor=None, why="it was renewed for a year")
        return None
    token.rotated_at = token.rotated_at or instant
    token.uses += 1
    session.add(token)
    return grant, person
