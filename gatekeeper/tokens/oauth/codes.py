"""Authorization codes: good for a minute, once, for one application, one address and one verifier."""

import hmac
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Person
from gatekeeper.accounts.tables import BrowserSession
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.tables import Code, Grant

CODE_PREFIX = "gc_"
EXPIRES_SECONDS = 60


async def keep(
    session: AsyncSession,
    client: Client,
    person: Person,
    *,
    code: str,
    redirect_uri: str,
    scopes: list[str],
    nonce: str | None,
    challenge: str | None,
    signed_in_at: datetime,
    key: bytes,
) -> None:
    """Remember what `code` stands for; the code itself only as a keyed hash."""
    session.add(
        Code(
            secret_hash=keyed_hash(key, code),
            client_id=client.client_id,
            person_id=person.id,
            redirect_uri=redirect_uri,
            scopes=sorted(scopes),
            nonce=nonce,
            challenge=challenge,
            signed_in_at=signed_in_at,
            expires_at=now() + timedelta(seconds=EXPIRES_SECONDS),
        )
    )
    await session.flush()


async def redeem(session: AsyncSession, code: str, client: Client, *, key: bytes) -> Code | None:
    """Use up a code; None where it is worth nothing.

    A code that was used before ends everything that came of it (RFC 9700, 4.5): the caller must commit although it
    refuses. One of another application is left as it is: whoever shows it has stolen it, and its owner is on the way.
    """
    if not is_well_formed(code, CODE_PREFIX):
        return None
    digest = keyed_hash(key, code)
    row = await session.scalar(sa.select(Code).where(col(Code.secret_hash) == digest).with_for_update())
    if row is None or not hmac.compare_digest(row.secret_hash, digest) or row.client_id != client.client_id:
        return None
    if row.used_at is not None:
        grant = await grants.locked(session, row.grant_id) if row.grant_id else None
        if grant is not None:
            await grants.end(session, grant, actor=None, why="a code was used again")
        return None
    row.used_at = now()
    session.add(row)
    return row if row.used_at < row.expires_at else None


async def open_grant(session: AsyncSession, row: Code, client: Client) -> tuple[Grant, Person] | None:
    """The grant that a redeemed code stands for; None when its person may nothing any more."""
    person = await session.get(Person, row.person_id)
    if person is None or person.is_disabled:
        return None
    grant = await grants.open_grant(session, client, person, scopes=row.scopes, label=client.name)
    row.grant_id = grant.id
    session.add(row)
    return grant, person


async def signed_in_at(session: AsyncSession, session_id: str | None) -> datetime | None:
    """When the person of this browser session gave their password."""
    browser = await session.get(BrowserSession, session_id) if session_id else None
    return browser.signed_in_at if browser else None
