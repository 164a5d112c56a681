"""Links in mails: resetting a password, confirming an address, an account of one's own.

Whether an address has an account is found out where the mail is made, never where it is asked for: every asker gets the
same answer after the same work.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import passwords, people
from gatekeeper.accounts.link_tables import PASSWORD_LINKS, LinkKind, MailLink
from gatekeeper.accounts.names import check_email, email_key
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.kit.secrets import is_well_formed, keyed_hash, new_secret

PREFIX = "gl_"
LIFE_HOURS = {LinkKind.RESET: 1, LinkKind.EMAIL: 24, LinkKind.SIGN_UP: 24, LinkKind.INVITE: 168, LinkKind.FIRST: 168}


async def start(session: AsyncSession, kind: LinkKind, email: str, *, key: bytes, person: Person | None = None) -> str:
    """A link for one address, and its secret, which is stored nowhere. Earlier ones of its kind end."""
    address = check_email(email)
    await session.execute(
        sa.delete(MailLink).where(col(MailLink.kind) == kind, col(MailLink.email_key) == email_key(address))
    )
    secret = new_secret(PREFIX)
    session.add(
        MailLink(
            kind=kind,
            secret_hash=keyed_hash(key, secret),
            email=address,
            email_key=email_key(address),
            person_id=person.id if person else None,
            expires_at=now() + timedelta(hours=LIFE_HOURS[kind]),
        )
    )
    return secret


async def first_password(session: AsyncSession, person: Person, *, key: bytes) -> str:
    """The secret of a link by which somebody whose account was made for them chooses the password themselves.

    Raises Conflict for who has a password: an administrator must not get into an account that is in use.
    """
    if person.password_hash is not None:
        raise Conflict(f"{person.name} has a password already.", next_step="They choose another one by mail.")
    return await start(session, LinkKind.FIRST, person.email, key=key, person=person)


async def find(session: AsyncSession, secret: str, *kinds: LinkKind, key: bytes) -> MailLink:
    """The link with this secret. Raises NotFound, the same for one that was never sent, is used, or is over."""
    link = None
    if is_well_formed(secret, PREFIX):
        link = await session.scalar(
            sa.select(MailLink).where(
                col(MailLink.secret_hash) == keyed_hash(key, secret),
                col(MailLink.kind).in_(kinds),
                col(MailLink.expires_at) > now(),
            )
        )
    if link is None:
        raise _over()
    return link


async def reset_password(database: Database, secret: str, password: str, *, key: bytes) -> None:
    """Choose another password by the link of a mail, or the first one; every session ends, second factors stay.

    Raises NotFound for a link that is over, Invalid for a password that cannot be accepted.
    """
    async with database.read() as session:
        person = await _owner(session, await find(session, secret, *PASSWORD_LINKS, key=key))
    passwords.check_password(password, name=person.name, email=person.email)
    hashed = await passwords.hash_password(password)
    async with database.write() as session:
        link = await find(session, secret, *PASSWORD_LINKS, key=key)
        fresh = await _owner(session, link)
        if fresh.email_key != link.email_key:
            raise _over()
        await _use(session, link)
        await people.keep_password(session, fresh, hashed, by=Principal(person_id=fresh.id, name=fresh.name))
        if link.kind is LinkKind.RESET:  # the other was handed over in some way: that proves no address
            fresh.email_verified_at = fresh.email_verified_at or now()
            session.add(fresh)


async def confirm_email(session: AsyncSession, secret: str, *, key: bytes, by: Principal) -> str:
    """Make the link's address the person's own, confirmed; returns the address that they had.

    Raises NotFound for a link that is over or was sent to somebody else, Conflict when another person has the address.
    """
    link = await find(session, secret, LinkKind.EMAIL, key=key)
    person = await _owner(session, link)
    if by.person_id != person.id or by.token_id is not None:
        raise _over()
    await _use(session, link)
    before = person.email
    other = await people.find_by_email(session, link.email)
    if other is not None and other.id != person.id:
        raise Conflict("Somebody already uses this e-mail address.", next_step="Use another address.")
    person.email, person.email_key, person.email_verified_at = link.email, link.email_key, now()
    session.add(person)
    await end_resets(session, person)
    await ledger.record(session, "accounts:person:confirm-email", actor=person.id, subject=person.id)
    return before


async def sign_up(
    session: AsyncSession, secret: str, name: str, password: str, *, key: bytes, fullname: str = ""
) -> Person:
    """Make the account that a link was sent for; its address is confirmed by that.

    Raises NotFound for a link that is over, Invalid and Conflict for what cannot be accepted.
    """
    link = await find(session, secret, LinkKind.SIGN_UP, LinkKind.INVITE, key=key)
    person = await people.add(session, name, email=link.email, password=password, fullname=fullname, by=OPERATOR)
    person.email_verified_at = now()
    session.add(person)
    await _use(session, link)
    return person


async def end_resets(session: AsyncSession, person: Person) -> None:
    """End the links that open an account without its password: an address has changed hands."""
    await session.execute(
        sa.delete(MailLink).where(col(MailLink.person_id) == person.id, col(MailLink.kind).in_(PASSWORD_LINKS))
    )


async def clean_up(session: AsyncSession) -> None:
    """Forget links that are over."""
    await session.execute(sa.delete(MailLink).where(col(MailLink.expires_at) <= now()))


async def _use(session: AsyncSession, link: MailLink) -> None:
    used = await session.execute(sa.delete(MailLink).where(col(MailLink.id) == link.id).returning(col(MailLink.id)))
    if used.first() is None:
        raise _over()


async def _owner(session: AsyncSession, link: MailLink) -> Person:
    person = await people.get(session, link.person_id or "")
    if person is None or person.is_disabled:
        raise _over()
    return person


def _over() -> NotFound:
    return NotFound("This link is over: it was used, or is too old.", next_step="Ask for another one.")
