"""Grants: made when a person says yes, carried on by tokens, ended together.

Ending one ends its tokens in the same transaction, and a token's row is read on every request: so it binds on the next.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Person, Principal, Reach
from gatekeeper.errors import NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime
from gatekeeper.kit.secrets import is_well_formed, keyed_hash
from gatekeeper.tokens.issue import end_children
from gatekeeper.tokens.limits import reach_of_service, stored
from gatekeeper.tokens.oauth.clients import Client
from gatekeeper.tokens.oauth.tables import Code, DeviceRequest, Grant, RefreshToken
from gatekeeper.tokens.scopes import Scope
from gatekeeper.tokens.tables import AccessToken, ServiceAccount, TokenKind, TokenUse

REFRESH_PREFIX = "gr_"
REFRESH_DAYS = 30
GRANT_DAYS = 365  # however often it is renewed: then its person is asked again
_KEPT_DAYS = 30
_CHANGES = frozenset({Scope.WRITE, Scope.REVIEW, Scope.ADMIN})
_HOUSE = frozenset(scope.value for scope in Scope)


async def open_grant(session: AsyncSession, client: Client, person: Person, *, scopes: list[str], label: str) -> Grant:
    """Remember that `person` let `client` act for them within `scopes`."""
    grant = Grant(client_id=client.client_id, person_id=person.id, label=label[:80], scopes=sorted(scopes))
    session.add(grant)
    await ledger.record(
        session,
        "tokens:grant:open",
        actor=person.id,
        subject=grant.id,
        body={"client": client.client_id, "scopes": grant.scopes},
    )
    await session.flush()  # tokens and requests refer to it
    return grant


async def keep_tokens(
    session: AsyncSession,
    grant: Grant,
    *,
    access: str,
    refresh: str | None,
    scopes: list[str],
    seconds: int,
    max_days: int,
    key: bytes,
    kind: TokenKind = TokenKind.APPLICATION,
    reach: Reach | None = None,
) -> AccessToken:
    """Store what the token endpoint is about to give out, as keyed hashes.

    seconds   life of the access token
    max_days  the longest that any token may live (a setting)
    """
    house = sorted(set(scopes) & _HOUSE)
    service = await session.get(ServiceAccount, grant.person_id)
    if service is not None:
        reach = reach_of_service(service)
    token = AccessToken(
        person_id=grant.person_id,
        grant_id=grant.id,
        kind=kind,
        reach=stored(reach),
        label=grant.label,
        secret_hash=keyed_hash(key, access),
        hint=access[-4:],
        role="write" if _CHANGES & set(house) else "read",
        scopes=house,
        expires_at=now() + timedelta(seconds=seconds),
    )
    session.add(token)
    if refresh is not None:
        expires_at = now() + timedelta(days=min(REFRESH_DAYS, max_days))
        session.add(RefreshToken(grant_id=grant.id, secret_hash=keyed_hash(key, refresh), expires_at=expires_at))
    await ledger.record(
        session,
        "tokens:token:issue",
        actor=grant.person_id,
        subject=token.id,
        body={
            "person": grant.person_id,
            "grant": grant.id,
            "scopes": token.scopes,
            "reach": token.reach,
            "expires_at": token.expires_at,
        },
    )
    await session.flush()
    return token


async def list_for(session: AsyncSession, person_id: str) -> list[Grant]:
    """A person's grants that still give somebody something, newest first."""
    instant = now()
    has_token = (
        sa.select(col(AccessToken.id))
        .where(
            col(AccessToken.grant_id) == col(Grant.id),
            col(AccessToken.revoked_at).is_(None),
            col(AccessToken.expires_at) > instant,
        )
        .exists()
    )
    can_refresh = (
        sa.select(col(RefreshToken.id))
        .where(
            col(RefreshToken.grant_id) == col(Grant.id),
            col(RefreshToken.rotated_at).is_(None),
            col(RefreshToken.expires_at) > instant,
        )
        .exists()
    )
    return list(
        await session.scalars(
            sa.select(Grant)
            .where(col(Grant.person_id) == person_id, col(Grant.revoked_at).is_(None), sa.or_(has_token, can_refresh))
            .order_by(col(Grant.created_at).desc(), col(Grant.id).desc())
        )
    )


async def locked(session: AsyncSession, grant_id: str) -> Grant | None:
    """The grant, its row locked: whoever issues or revokes tokens of it takes turns."""
    return await session.scalar(
        sa.select(Grant).where(col(Grant.id) == grant_id).with_for_update().execution_options(populate_existing=True)
    )


async def revoke(session: AsyncSession, grant_id: str, *, by: Principal) -> None:
    """End a grant of one's own with all its tokens. Revoking twice is no error.

    An administrator may too; for anybody else, and for a token, it does not exist (NotFound).
    """
    grant = await locked(session, grant_id)
    if grant is None or by.token_id is not None or not (by.is_admin or by.person_id == grant.person_id):
        raise NotFound("You have no such connected application.", next_step="Look at the list of your applications.")
    await end(session, grant, actor=by.person_id, why="asked")


@dataclass(frozen=True)
class Held:
    """A live token of a grant: an access token, or a refresh token where `token` is None."""

    grant: Grant
    token: AccessToken | None
    issued_at: datetime
    expires_at: datetime


async def held(session: AsyncSession, secret: str, *, key: bytes) -> Held | None:
    """What this secret is, if an application got it here and it still works."""
    digest, instant = keyed_hash(key, secret), now()
    if is_well_formed(secret, REFRESH_PREFIX):
        refresh = await session.scalar(sa.select(RefreshToken).where(col(RefreshToken.secret_hash) == digest))
        grant = await session.get(Grant, refresh.grant_id) if refresh else None
        if refresh is None or grant is None or grant.revoked_at or refresh.rotated_at or refresh.expires_at <= instant:
            return None
        return Held(grant, None, refresh.created_at, refresh.expires_at)
    token = await session.scalar(sa.select(AccessToken).where(col(AccessToken.secret_hash) == digest))
    grant = await session.get(Grant, token.grant_id) if token and token.grant_id else None
    if token is None or grant is None or token.revoked_at or not token.expires_at or token.expires_at <= instant:
        return None
    return Held(grant, token, token.created_at, token.expires_at)


async def hand_back(session: AsyncSession, found: Held) -> None:
    """An application ends what it got: this access token, or with a refresh token the whole grant (RFC 7009, 2.1)."""
    if found.token is None:
        await end(session, found.grant, actor=None, why="handed back")
        return
    found.token.revoked_at = now()
    session.add(found.token)
    await end_children(session, [found.token.id])
    await ledger.record(session, "tokens:token:revoke", subject=found.token.id, body={"why": "handed back"})


async def end(session: AsyncSession, grant: Grant, *, actor: str | None, why: str) -> None:
    """End `grant` and every token of it. Who may is decided before.

    why  `asked`, or what was detected: it goes into evidence
    """
    if grant.revoked_at is not None:
        return
    grant.revoked_at = now()
    session.add(grant)
    given = await session.scalars(sa.select(col(AccessToken.id)).where(col(AccessToken.grant_id) == grant.id))
    await end_children(session, list(given))
    await session.execute(
        sa.update(AccessToken)
        .where(col(AccessToken.grant_id) == grant.id, col(AccessToken.revoked_at).is_(None))
        .values(revoked_at=now())
    )
    await ledger.record(session, "tokens:grant:revoke", actor=actor, subject=grant.id, body={"why": why})


async def last_used(session: AsyncSession, person_id: str) -> dict[str, datetime]:
    """When each of a person's grants was last seen, to the minute; grants never used are absent."""
    rows = await session.execute(
        sa.select(col(AccessToken.grant_id), sa.func.max(col(TokenUse.last_used_at), type_=UtcDateTime()))
        .join(TokenUse, col(AccessToken.id) == col(TokenUse.token_id))
        .where(col(AccessToken.person_id) == person_id, col(AccessToken.grant_id).is_not(None))
        .group_by(col(AccessToken.grant_id))
    )
    return {grant_id: at for grant_id, at in rows if grant_id is not None}


async def clean_up(session: AsyncSession) -> None:
    """Forget device requests, codes and refresh tokens that have been over for a month."""
    over = now() - timedelta(days=_KEPT_DAYS)
    for table in (DeviceRequest, RefreshToken, Code):
        await session.execute(sa.delete(table).where(col(table.expires_at) < over))
