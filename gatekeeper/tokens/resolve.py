"""From the secret in a header to the principal behind it."""

import hmac
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import Person, Principal, principals
from gatekeeper.errors import NotSignedIn
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash
from gatekeeper.tokens import approval
from gatekeeper.tokens.issue import PREFIX
from gatekeeper.tokens.limits import reach_of
from gatekeeper.tokens.tables import AccessToken, ServiceAccount
from gatekeeper.tokens.use import NOWHERE, Seen, saw

# The public client looks for these very words and then tells its user to log in again.
REFUSAL = "Invalid credentials in Authorization header"


async def resolve(session: AsyncSession, secret: str, *, key: bytes, seen: Seen = NOWHERE) -> Principal:
    """Whose token this is, narrowed to its scopes and its reach.

    secret  as it came in the header: untrusted, of any length and any characters
    seen    where it came from, for its owner to read
    Raises NotSignedIn, in the same words, for a malformed, unknown, revoked or expired token and a disabled owner.
    """
    if not is_well_formed(secret, PREFIX):  # a typing error or an attack: no reason to ask the database
        raise refused()
    digest = keyed_hash(key, secret)
    row = (
        await session.execute(
            sa.select(AccessToken, Person)
            .join(Person, col(Person.id) == col(AccessToken.person_id))
            .where(col(AccessToken.secret_hash) == digest)
        )
    ).first()
    if row is None:
        raise refused()
    token, person = row
    if not hmac.compare_digest(token.secret_hash, digest) or not is_live(token, now()) or person.is_disabled:
        raise refused()
    saw(token.id, seen)
    return await behind(session, person, token)


async def resume(session: AsyncSession, person_id: str | None, token_id: str | None) -> Principal:
    """Who is behind a signed address or a Xet token now, as narrow as the token it was given to.

    Raises NotSignedIn when that token is revoked or expired, or the person disabled or gone.
    """
    person = await session.get(Person, person_id) if person_id else None
    token = await session.get(AccessToken, token_id) if token_id else None
    if person is None or (token_id and (token is None or not is_live(token, now()))):
        raise NotSignedIn("The token behind this transfer is gone.", next_step="Log in and start again.")
    return await principals.for_person(session, person) if token is None else await behind(session, person, token)


async def behind(session: AsyncSession, person: Person, token: AccessToken) -> Principal:
    """The token's owner, as narrow as the token. Whether it is live is for the caller to ask.

    Raises NotSignedIn when the service account it stands for was removed, or the token that it was made with has ended.
    """
    service = await session.get(ServiceAccount, person.id)
    if service is not None and service.removed_at is not None:
        raise refused()
    asked = token
    if token.parent_id is not None:  # never more than the token that it was made with may at this moment
        parent = await session.get(AccessToken, token.parent_id)
        if parent is None or not is_live(parent, now()):
            raise refused()
        asked = parent
    return await principals.for_person(
        session,
        person,
        token_id=token.id,
        scopes=frozenset(token.scopes),
        valid_until=token.expires_at,
        reach=reach_of(token),
        closed=await approval.closed_to(session, asked),
        is_service=service is not None,
    )


def is_live(token: AccessToken, instant: datetime) -> bool:
    """Whether `token` is neither revoked nor expired at `instant`."""
    return token.revoked_at is None and (token.expires_at is None or instant < token.expires_at)


def refused() -> NotSignedIn:
    """The one answer to a token that is not good."""
    return NotSignedIn(REFUSAL, next_step="Make a new token in your settings and log in with it.")
