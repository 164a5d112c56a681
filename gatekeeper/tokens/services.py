"""Accounts of programs: owned by an organization, never signed in with, and never more than its administrators gave.

Such an account is a person in the tables, without a password and with an address that no mail reaches, so that all it
does is evidence like everything else. Its tokens are limited to its organization, beside what is open to everybody.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Organization, Person, Principal, Role, organizations, people
from gatekeeper.accounts.tables import NO_MAILBOX
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.secrets import keyed_hash, new_secret
from gatekeeper.tokens.approval import require_admin
from gatekeeper.tokens.issue import end, list_for, make
from gatekeeper.tokens.limits import reach_of_service
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.oauth.applications import SECRET_PREFIX
from gatekeeper.tokens.scopes import Scope, scopes_for
from gatekeeper.tokens.tables import AccessToken, ServiceAccount, TokenKind

SCOPES = (Scope.READ, Scope.DOWNLOAD, Scope.GENERATE, Scope.WRITE)  # it reviews nothing and administers nothing


@dataclass(frozen=True)
class Service:
    """A service account with its live tokens."""

    account: ServiceAccount
    person: Person
    tokens: tuple[AccessToken, ...]


async def create(
    session: AsyncSession, organization: Organization, name: str, *, scopes: list[str], by: Principal
) -> Service:
    """A new account of the organization, that reads there, and writes if its scopes say so.

    Raises Invalid for a name or scope that cannot be accepted, Conflict for a name that is taken, NotAllowed but for
    an administrator in person.
    """
    await require_admin(session, organization, by=by)
    if not scopes or not set(scopes) <= set(SCOPES):
        raise Invalid(
            "Choose among the scopes that are offered.", next_step="Tick at least one.", details={"field": "scopes"}
        )
    person = await people.add(session, name, email=f"{new_id().lower()}{NO_MAILBOX}", by=by)
    account = ServiceAccount(
        person_id=person.id, organization_id=organization.id, scopes=sorted(scopes), created_by=by.person_id
    )
    session.add(account)
    role = Role.WRITE if Scope.WRITE in scopes else Role.READ
    await organizations.add_member(session, organization, person, role, by=by)
    await _record(session, "tokens:service:create", account, by=by, body={"scopes": account.scopes})
    await session.flush()
    return Service(account, person, ())


async def list_of(session: AsyncSession, organization: Organization, *, by: Principal) -> list[Service]:
    """The organization's accounts by name. Raises NotAllowed but for its administrators."""
    await require_admin(session, organization, by=by)
    rows = await session.execute(
        sa.select(ServiceAccount, Person)
        .join(Person, col(Person.id) == col(ServiceAccount.person_id))
        .where(col(ServiceAccount.organization_id) == organization.id, col(ServiceAccount.removed_at).is_(None))
        .order_by(col(Person.name_key))
    )
    return [Service(account, person, tuple(await list_for(session, person.id))) for account, person in rows.all()]


async def issue(
    session: AsyncSession,
    organization: Organization,
    person_id: str,
    *,
    label: str,
    expires_at: datetime | None,
    max_days: int,
    key: bytes,
    by: Principal,
) -> tuple[AccessToken, str]:
    """A token of the account, and its secret, shown once. Raises as `tokens.issue` does."""
    account, person = await _one(session, organization, person_id, by=by)
    role = "write" if Scope.WRITE in account.scopes else "read"
    return await make(
        session,
        person,
        TokenKind.SERVICE,
        label=label,
        role=role,
        chosen=frozenset(scopes_for(role, account.scopes)),
        reach=reach_of_service(account),
        expires_at=expires_at,
        max_days=max_days,
        key=key,
        by=by,
    )


async def renew_secret(
    session: AsyncSession, organization: Organization, person_id: str, *, key: bytes, by: Principal
) -> str:
    """A new secret for client credentials (RFC 6749, 4.4), shown once. The one before is void."""
    account, _ = await _one(session, organization, person_id, by=by)
    secret = new_secret(SECRET_PREFIX)
    account.secret_hash = keyed_hash(key, secret)
    session.add(account)
    await _record(session, "tokens:service:renew-secret", account, by=by)
    return secret


async def remove(session: AsyncSession, organization: Organization, person_id: str, *, by: Principal) -> None:
    """End the account with every token it has. Its name stays taken, and its acts stay in the evidence."""
    account, person = await _one(session, organization, person_id, by=by)
    account.removed_at, account.secret_hash = now(), None
    session.add(account)
    await end(session, await list_for(session, person.id), by=by)
    for grant in await grants.list_for(session, person.id):
        await grants.end(session, grant, actor=by.person_id, why="the service account was removed")
    await organizations.remove_member(session, organization, person, by=by)
    await _record(session, "tokens:service:remove", account, by=by)


async def revoke(session: AsyncSession, organization: Organization, token_id: str, *, by: Principal) -> None:
    """End one token of one of the organization's accounts."""
    token = await session.get(AccessToken, token_id)
    account = await session.get(ServiceAccount, token.person_id) if token is not None else None
    await require_admin(session, organization, by=by)
    if token is None or account is None or account.organization_id != organization.id:
        raise NotFound("There is no such token.", next_step="Look at the list of service accounts.")
    await end(session, [token], by=by)


async def _one(
    session: AsyncSession, organization: Organization, person_id: str, *, by: Principal
) -> tuple[ServiceAccount, Person]:
    await require_admin(session, organization, by=by)
    account = await session.get(ServiceAccount, person_id)
    person = await session.get(Person, person_id)
    if account is None or person is None or account.organization_id != organization.id or account.removed_at:
        raise NotFound("There is no such service account.", next_step="Look at the list of service accounts.")
    return account, person


async def _record(
    session: AsyncSession, kind: str, account: ServiceAccount, *, by: Principal, body: dict[str, object] | None = None
) -> None:
    told = {"organization": account.organization_id, **(body or {})}
    await ledger.record(session, kind, actor=by.person_id, subject=account.person_id, body=told)
