"""Making, listing and revoking tokens."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import OPERATOR, Person, Principal, Reach
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash, new_secret
from gatekeeper.tokens import limits
from gatekeeper.tokens.scopes import scopes_for
from gatekeeper.tokens.tables import AccessToken, ServiceAccount, TokenKind, TokenUse

PREFIX = "gk_"
_BY_HAND = (TokenKind.PERSONAL, TokenKind.SERVICE)


async def issue(
    session: AsyncSession,
    person: Person,
    *,
    label: str,
    role: str = "read",
    scopes: list[str] | None = None,
    reach: Reach | None = None,
    expires_at: datetime | None = None,
    max_days: int = 365,
    key: bytes,
    by: Principal = OPERATOR,
) -> tuple[AccessToken, str]:
    """A new token of `person`, and its secret, which is shown once and stored nowhere.

    reach       repositories and namespaces that it is limited to; None for everything its person has
    scopes      exactly these instead of the role's own
    expires_at  at most `max_days` from now, which is also what None means: no token lives for good
    key         key of the hashes in the database

    Raises Invalid for a label, role, scope or end that cannot be accepted, Conflict for a label in use, NotAllowed
    when `by` is a token (a leaked one could outlive its own revocation) or somebody else.
    """
    if by.token_id is not None:
        raise NotAllowed("A token cannot make tokens.", next_step="Sign in in a browser to make one.")
    if person.is_disabled or not (by.is_admin or by.person_id == person.id):
        raise NotAllowed("Tokens are made by their owner.", next_step="Sign in as the person it is for.")
    if await session.get(ServiceAccount, person.id) is not None:
        raise NotAllowed("This is a service account.", next_step="Its organization makes its tokens.")
    limits.check(reach, person, by)
    return await make(
        session,
        person,
        TokenKind.PERSONAL,
        label=label,
        role=role,
        chosen=scopes_for(role, scopes),
        reach=reach,
        expires_at=expires_at,
        max_days=max_days,
        key=key,
        by=by,
    )


async def make(
    session: AsyncSession,
    person: Person,
    kind: TokenKind,
    *,
    label: str,
    role: str,
    chosen: frozenset[str],
    reach: Reach | None,
    expires_at: datetime | None,
    max_days: int,
    key: bytes,
    by: Principal,
) -> tuple[AccessToken, str]:
    """A new token of `person`, as `issue` makes it. Who may, and for what, is decided before."""
    label = label.strip()
    if not 1 <= len(label) <= 80 or not label.isprintable():
        raise Invalid("A token needs a label of 1 to 80 printable characters.", next_step="Name what it is for.")
    made_at = now()
    latest = made_at + timedelta(days=max_days)
    if expires_at is not None and (expires_at.tzinfo is None or not made_at < expires_at <= latest):
        raise Invalid(
            f"A token ends within {max_days} days from now.", next_step="Choose an earlier end in the future."
        )
    # The owner's row is locked, or two requests at once could both find the label free.
    await session.execute(sa.select(col(Person.id)).where(col(Person.id) == person.id).with_for_update())
    if label in {token.label for token in await list_for(session, person.id)}:
        raise Conflict(
            f"You already have a token called {label}.", next_step="Choose another label, or revoke that one."
        )
    secret = new_secret(PREFIX)
    token = AccessToken(
        person_id=person.id,
        kind=kind,
        reach=limits.stored(reach),
        created_at=made_at,
        label=label,
        secret_hash=keyed_hash(key, secret),
        hint=secret[-4:],
        role=role,
        scopes=sorted(chosen),
        expires_at=expires_at or latest,
    )
    session.add(token)
    await ledger.record(
        session,
        "tokens:token:issue",
        actor=by.person_id,
        subject=token.id,
        body={
            "person": person.id,
            "kind": kind.value,
            "role": role,
            "scopes": token.scopes,
            "reach": token.reach,
            "expires_at": token.expires_at,
        },
    )
    await session.flush()  # a caller may use the token in the same transaction
    return token, secret


async def list_for(
    session: AsyncSession, person_id: str, *, kinds: tuple[TokenKind, ...] = _BY_HAND
) -> list[AccessToken]:
    """A person's live tokens made by hand (or of `kinds`), newest first. Those of applications go with grants."""
    return list(
        await session.scalars(
            sa.select(AccessToken)
            .where(
                col(AccessToken.person_id) == person_id,
                col(AccessToken.kind).in_(kinds),
                col(AccessToken.revoked_at).is_(None),
                sa.or_(col(AccessToken.expires_at).is_(None), col(AccessToken.expires_at) > now()),
            )
            .order_by(col(AccessToken.created_at).desc(), col(AccessToken.id).desc())
        )
    )


async def last_used(session: AsyncSession, person_id: str) -> dict[str, TokenUse]:
    """When, from where and by what each of a person's tokens was last seen; tokens never used are absent."""
    rows = await session.scalars(
        sa.select(TokenUse)
        .join(AccessToken, col(AccessToken.id) == col(TokenUse.token_id))
        .where(col(AccessToken.person_id) == person_id)
    )
    return {use.token_id: use for use in rows}


async def revoke(session: AsyncSession, token_id: str, *, by: Principal) -> None:
    """End a token from the next request on. Revoking twice is no error.

    Its owner and an administrator may; for anybody else it does not exist (NotFound). A token may revoke itself,
    which is what somebody who finds a leaked one should do, but no other.
    """
    token = await session.get(AccessToken, token_id)
    may = token is not None and (
        by.token_id == token.id if by.token_id is not None else by.is_admin or by.person_id == token.person_id
    )
    if token is None or not may:
        raise NotFound("You have no such token.", next_step="Look at the list of your tokens.")
    await end(session, [token], by=by)


async def end(session: AsyncSession, tokens: list[AccessToken], *, by: Principal) -> None:
    """End these tokens, with those made with them. Who may is decided before."""
    for token in tokens:
        if token.revoked_at is None:
            token.revoked_at = now()
            session.add(token)
            await end_children(session, [token.id])
            await ledger.record(session, "tokens:token:revoke", actor=by.person_id, token=by.token_id, subject=token.id)


async def end_children(session: AsyncSession, token_ids: list[str]) -> None:
    """End the tokens that were made with these."""
    await session.execute(
        sa.update(AccessToken)
        .where(col(AccessToken.parent_id).in_(token_ids), col(AccessToken.revoked_at).is_(None))
        .values(revoked_at=now())
    )
