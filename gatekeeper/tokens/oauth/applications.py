"""Registering applications, and what people said yes to for them."""

import ipaddress
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import Person, Principal
from gatekeeper.errors import Invalid, NotAllowed, NotFound, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import keyed_hash, new_secret
from gatekeeper.tokens.oauth import grants
from gatekeeper.tokens.oauth.clients import SCOPES
from gatekeeper.tokens.oauth.tables import Application, Consent, Grant

SECRET_PREFIX = "gcs_"  # noqa: S105 - how a secret begins
MOST_ADDRESSES = 10
MOST_APPLICATIONS = 50


async def register(
    session: AsyncSession,
    name: str,
    *,
    redirect_uris: list[str],
    scopes: list[str],
    is_confidential: bool,
    needs_pkce: bool = True,
    key: bytes,
    by: Principal,
) -> tuple[Application, str | None]:
    """A new application of `by`, and its secret if it can keep one; the secret is shown once and stored nowhere.

    Raises Invalid with details["field"] for what cannot be accepted, NotAllowed for a token or nobody.
    """
    person = await session.get(Person, by.person_id, with_for_update=True) if by.person_id else None
    if person is None or by.token_id is not None or person.is_disabled:
        raise NotAllowed("Applications are registered in person.", next_step="Sign in in a browser.")
    if len(await list_for(session, person.id)) >= MOST_APPLICATIONS:
        raise TooMany(f"You have {MOST_APPLICATIONS} applications.", next_step="Remove one that is not used.")
    name = " ".join(name.split())
    if not 1 <= len(name) <= 60 or not name.isprintable():
        raise _wrong("name", "An application needs a name of 1 to 60 printable characters.")
    addresses = list(dict.fromkeys(uri.strip() for uri in redirect_uris if uri.strip()))
    if not 1 <= len(addresses) <= MOST_ADDRESSES:
        raise _wrong("redirect_uris", f"Give 1 to {MOST_ADDRESSES} addresses to send people back to.")
    for address in addresses:
        check_redirect_uri(address)
    chosen = set(scopes)
    if "openid" not in chosen or not chosen <= SCOPES:
        raise _wrong("scopes", "Choose among the scopes that are offered; openid is always among them.")
    if not needs_pkce and not is_confidential:
        raise _wrong("needs_pkce", "An application without a secret needs PKCE.")
    secret = new_secret(SECRET_PREFIX) if is_confidential else None
    application = Application(
        owner_id=person.id,
        name=name,
        redirect_uris=addresses,
        scopes=sorted(chosen),
        secret_hash=keyed_hash(key, secret) if secret else None,
        needs_pkce=needs_pkce,
    )
    session.add(application)
    await ledger.record(
        session,
        "tokens:application:register",
        actor=person.id,
        subject=application.id,
        body={"scopes": application.scopes, "is_confidential": is_confidential, "needs_pkce": needs_pkce},
    )
    await session.flush()
    return application, secret


async def list_for(session: AsyncSession, person_id: str) -> list[Application]:
    """The applications that a person registered, newest first."""
    return list(
        await session.scalars(
            sa.select(Application)
            .where(col(Application.owner_id) == person_id, col(Application.removed_at).is_(None))
            .order_by(col(Application.id).desc())
        )
    )


async def remove(session: AsyncSession, application_id: str, *, by: Principal) -> None:
    """Take an application away, with every grant that people gave it. Its owner and an administrator may."""
    application = await session.get(Application, application_id)
    may = application is not None and by.token_id is None and (by.is_admin or by.person_id == application.owner_id)
    if application is None or application.removed_at is not None or not may:
        raise NotFound("You have no such application.", next_step="Look at the list of your applications.")
    application.removed_at = now()
    session.add(application)
    await ledger.record(session, "tokens:application:remove", actor=by.person_id, subject=application.id)
    live = sa.select(Grant).where(col(Grant.client_id) == application.id, col(Grant.revoked_at).is_(None))
    for grant in list(await session.scalars(live.with_for_update())):
        await grants.end(session, grant, actor=by.person_id, why="the application was removed")
    await session.execute(sa.delete(Consent).where(col(Consent.client_id) == application.id))


async def has_consent(session: AsyncSession, person_id: str, client_id: str, scopes: list[str]) -> bool:
    """Whether the person said yes to exactly these scopes before and has not taken it back."""
    consent = await _consent(session, person_id, client_id)
    return consent is not None and set(consent.scopes) == set(scopes)


async def consent(session: AsyncSession, person_id: str, client_id: str, scopes: list[str]) -> None:
    """Remember that the person said yes to these scopes."""
    # Their row is locked, or a second click at once would remember it twice.
    await session.execute(sa.select(col(Person.id)).where(col(Person.id) == person_id).with_for_update())
    row = await _consent(session, person_id, client_id) or Consent(person_id=person_id, client_id=client_id)
    row.scopes, row.given_at = sorted(scopes), now()
    session.add(row)
    await ledger.record(session, "tokens:consent:give", actor=person_id, subject=client_id, body={"scopes": row.scopes})


async def consents_of(session: AsyncSession, person_id: str) -> list[tuple[Consent, Application]]:
    """What the person said yes to, newest first."""
    rows = await session.execute(
        sa.select(Consent, Application)
        .join(Application, col(Application.id) == col(Consent.client_id))
        .where(col(Consent.person_id) == person_id)
        .order_by(col(Consent.given_at).desc())
    )
    return [(consent, application) for consent, application in rows]


async def withdraw(session: AsyncSession, client_id: str, *, by: Principal, of: Person | None = None) -> None:
    """Take back what one said yes to, or somebody else did, for an administrator: the application asks again, and every
    token it has of this person ends.
    """
    person_id = of.id if of is not None and by.is_admin else by.person_id or ""
    row = await _consent(session, person_id, client_id)
    if row is None or by.token_id is not None:
        raise NotFound("You have no such connected application.", next_step="Look at the list of your applications.")
    await session.delete(row)
    live = sa.select(Grant).where(
        col(Grant.client_id) == client_id, col(Grant.person_id) == person_id, col(Grant.revoked_at).is_(None)
    )
    for grant in list(await session.scalars(live.with_for_update())):
        await grants.end(session, grant, actor=by.person_id, why="asked")
    await ledger.record(session, "tokens:consent:withdraw", actor=by.person_id, subject=client_id)


def check_redirect_uri(uri: str) -> None:
    """Raise Invalid unless `uri` is https, or http on this machine, and reads the same for everybody."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise _wrong("redirect_uris", f"{uri[:80]!r} is no address.") from None
    host = parts.hostname or ""
    is_plain = uri.isascii() and uri.isprintable() and " " not in uri and "\\" not in uri and len(uri) <= 500
    if not is_plain or not host or "@" in parts.netloc or "#" in uri or "*" in uri:
        raise _wrong("redirect_uris", "An address is plain ASCII, without user name, fragment, asterisk or backslash.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise _wrong("redirect_uris", "An address begins with https://; http:// only for localhost and 127.0.0.1.")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _consent(session: AsyncSession, person_id: str, client_id: str) -> Consent | None:
    return await session.scalar(
        sa.select(Consent).where(col(Consent.person_id) == person_id, col(Consent.client_id) == client_id)
    )


def _wrong(field: str, message: str) -> Invalid:
    return Invalid(message, next_step="Correct it and send it again.", details={"field": field})
