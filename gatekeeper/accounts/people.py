"""People: adding, finding, disabling."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import namespaces, sessions
from gatekeeper.accounts.factors import steps
from gatekeeper.accounts.link_tables import PASSWORD_LINKS, MailLink
from gatekeeper.accounts.names import check_email, email_key, fold
from gatekeeper.accounts.passwords import check_password, hash_password
from gatekeeper.accounts.principal import OPERATOR, Principal
from gatekeeper.accounts.tables import Person
from gatekeeper.errors import Conflict, Invalid, NotAllowed
from gatekeeper.kit.paging import Page, page_of


async def add(
    session: AsyncSession,
    name: str,
    *,
    email: str,
    password: str | None = None,
    fullname: str = "",
    is_admin: bool = False,
    by: Principal = OPERATOR,
) -> Person:
    """A new person. Without a password they can sign in only by other means.

    Raises Invalid for a name, address or password that cannot be accepted, Conflict when name or address is taken.
    """
    email = check_email(email)
    if len(fullname) > 120 or not fullname.isprintable():
        raise Invalid("A full name has at most 120 printable characters.", next_step="Shorten it.")
    if password is not None:
        check_password(password, name=name, email=email)
    if await find_by_email(session, email) is not None:
        raise _address_taken()
    person = Person(
        name=name,
        name_key=fold(name),
        fullname=fullname.strip(),
        email=email,
        email_key=email_key(email),
        password_hash=None if password is None else await hash_password(password),
        is_admin=is_admin,
    )
    await namespaces.take(session, person)
    await ledger.record(
        session,
        "accounts:person:add",
        actor=by.person_id,
        token=by.token_id,
        subject=person.id,
        body={"is_admin": is_admin},
    )
    return person


async def get(session: AsyncSession, person_id: str) -> Person | None:
    """The person with this id."""
    return await session.get(Person, person_id)


async def find(session: AsyncSession, name: str) -> Person | None:
    """The person with this name, whatever its case."""
    return await session.scalar(sa.select(Person).where(col(Person.name_key) == fold(name)))


async def find_by_email(session: AsyncSession, email: str) -> Person | None:
    """The person with this address, whatever its case."""
    return await session.scalar(sa.select(Person).where(col(Person.email_key) == email_key(email)))


async def listing(session: AsyncSession, *, begins: str = "", after: str = "", limit: int = 50) -> Page[Person]:
    """Everybody by name, for the administrators' page: whose name or address begins so, after the name `after`."""
    start, key = fold(begins), col(Person.name_key)
    query = sa.select(Person).where(key > fold(after))
    if start:
        address = col(Person.email_key).startswith(start, autoescape=True)
        query = query.where(sa.or_(key.startswith(start, autoescape=True), address))
    rows = list(await session.scalars(query.order_by(key).limit(limit + 1)))
    return page_of(rows, limit=limit, key=lambda person: person.name)


async def disable(session: AsyncSession, person: Person, *, by: Principal) -> None:
    """Shut `person` out from the next request on: sessions end, tokens are refused as long as this lasts.

    Raises NotAllowed unless an administrator does it, Conflict for the last administrator.
    """
    _require_admin(by)
    if person.is_admin and await _is_last_admin(session, person):
        raise Conflict("The last administrator cannot be disabled.", next_step="Name another administrator first.")
    person.is_disabled = True
    session.add(person)
    await sessions.end_all(session, person, by=by)
    await ledger.record(session, "accounts:person:disable", actor=by.person_id, token=by.token_id, subject=person.id)


async def rename(session: AsyncSession, person: Person, name: str, *, by: Principal) -> None:
    """Call `person` `name`; what is called after them follows in `gatekeeper.owners`.

    Raises NotAllowed unless they or an administrator do it in person, Invalid for a bad name, Conflict for a taken one.
    """
    if by.token_id is not None or not (by.is_admin or by.person_id == person.id):
        raise NotAllowed("A name is changed by its owner, signed in.", next_step="Sign in and try again.")
    await namespaces.rename(session, person, name)
    await ledger.record(session, "accounts:person:rename", actor=by.person_id, subject=person.id)


async def record_invitation(session: AsyncSession, *, by: Principal) -> None:
    """Keep that somebody was invited; not who, for they have no account yet. Raises NotAllowed for no administrator."""
    _require_admin(by)
    await ledger.record(session, "accounts:person:invite", actor=by.person_id, token=by.token_id)


async def enable(session: AsyncSession, person: Person, *, by: Principal) -> None:
    """Let `person` in again; their sessions stay ended. Raises NotAllowed unless an administrator does it."""
    _require_admin(by)
    person.is_disabled = False
    session.add(person)
    await ledger.record(session, "accounts:person:enable", actor=by.person_id, token=by.token_id, subject=person.id)


async def set_admin(session: AsyncSession, person: Person, *, is_admin: bool, by: Principal) -> None:
    """Make `person` an administrator of this hub, or no longer one, from the next request on.

    What an identity provider says of its administrators is said anew at each sign-in with it.
    Raises NotAllowed unless an administrator does it in person, Conflict for the last one and where nothing changes.
    """
    _require_admin(by)
    if by.token_id is not None:
        raise NotAllowed("Administrators are named by one who is signed in.", next_step="Sign in and try again.")
    if person.is_admin == is_admin:
        raise Conflict(f"{person.name} is {'one' if is_admin else 'none'} already.", next_step="Reload the page.")
    if is_admin and person.is_disabled:
        raise Conflict(f"{person.name} is disabled.", next_step="Let them in again first.")
    if not is_admin and await _is_last_admin(session, person):
        raise Conflict("The last administrator stays one.", next_step="Name another administrator first.")
    person.is_admin = is_admin
    session.add(person)
    await ledger.record(
        session,
        "accounts:person:set-admin",
        actor=by.person_id,
        subject=person.id,
        body={"is_admin": is_admin},
    )


async def keep_password(session: AsyncSession, person: Person, hashed: str, *, by: Principal) -> None:
    """Store the hash of a checked password; other sessions end, and links that would change it. Who may is decided."""
    person.password_hash = hashed
    session.add(person)
    await steps.forget(session, person.id)
    waiting = col(MailLink.kind).in_(PASSWORD_LINKS)
    await session.execute(sa.delete(MailLink).where(col(MailLink.person_id) == person.id, waiting))
    await sessions.end_all(session, person, by=by, keep=by.session_id)
    await ledger.record(session, "accounts:person:set-password", actor=by.person_id, subject=person.id)


def _require_admin(by: Principal) -> None:
    if not by.is_admin:
        raise NotAllowed("Only an administrator of this hub may do this.", next_step="Ask an administrator.")


async def _is_last_admin(session: AsyncSession, person: Person) -> bool:
    # All administrators are locked, or two who disable each other would both find the other still there.
    admins = await session.scalars(
        sa.select(col(Person.id))
        .where(col(Person.is_admin).is_(True), col(Person.is_disabled).is_(False))
        .order_by(col(Person.id))
        .with_for_update()
    )
    return set(admins) <= {person.id}


def _address_taken() -> Conflict:
    return Conflict("Somebody already uses this e-mail address.", next_step="Use another address, or sign in.")
