"""Forgetting a person: what names them goes, what others rely on stays under a number, and every proof stays valid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.access.tables import AccessGrant, AccessRequest, AccessStep, AccessVoice
from gatekeeper.accounts.link_tables import MailLink
from gatekeeper.accounts.names import fold
from gatekeeper.accounts.namespaces import former_names
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Namespace, Organization, Person, Role
from gatekeeper.community.collections_tables import Collection, CollectionItem
from gatekeeper.db import after_commit
from gatekeeper.errors import Conflict, NotAllowed
from gatekeeper.generation import ImageFolder
from gatekeeper.generation.tables import Generation
from gatekeeper.kit.clock import now
from gatekeeper.notices.tables import Notice
from gatekeeper.privacy.holds import hold_on
from gatekeeper.privacy.removal import references, remove
from gatekeeper.privacy.tables import Erasure
from gatekeeper.repos.owned import Owned, owned_by
from gatekeeper.repos.tables import Repo, RepoKind, RepoRedirect
from gatekeeper.tokens import oauth
from gatekeeper.tokens.oauth.tables import Application

# Rows that say something about others, or that others rely on: they stay, and mean a person without a name then.
_STAY = frozenset({"access_request", "access_grant", "approval", "erasure", "legal_hold"})
# Rows that go although they could stand without their person.
_GO = frozenset({"generation", "mail_link", "namespace", "quota_change"})
_LAST = ("presentation", "namespace")  # others of the person's rows refer to these


@dataclass(frozen=True)
class Foreseen:
    """What erasing a person would do, said before it is done.

    repositories   their own, which must be transferred or deleted first
    organizations  which would be left without an administrator
    counts         how many rows of each table would go or be cleared
    """

    repositories: Owned
    organizations: Sequence[str]
    is_held: bool
    is_last_admin: bool
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def obstacle(self) -> Conflict | None:
        """What must be settled first, None if nothing stands in the way."""
        if self.is_held:
            return Conflict(
                "A legal hold keeps this person's records.", next_step="Ask an administrator of this hub about it."
            )
        if self.repositories:
            return Conflict(
                f"There are repositories of this person: {self.repositories}.",
                next_step="Transfer or delete them first.",
            )
        if self.organizations:
            names = ", ".join(self.organizations[:10])
            return Conflict(
                f"Nobody else administers {names}.", next_step="Make somebody else an administrator there first."
            )
        if self.is_last_admin:
            return Conflict(
                "The last administrator of this hub cannot be erased.", next_step="Name another administrator first."
            )
        return None


async def foresee(session: AsyncSession, person: Person) -> Foreseen:
    """What would happen, and what stands in the way. Changes nothing."""
    counts: dict[str, int] = {}
    for column in _of_person(person):
        amount = await session.scalar(sa.select(sa.func.count()).select_from(column.table).where(column == person.id))
        counts[column.table.name] = counts.get(column.table.name, 0) + int(amount or 0)
    admins = sa.select(sa.func.count()).where(
        col(Person.is_admin).is_(True), col(Person.is_disabled).is_(False), col(Person.id) != person.id
    )
    return Foreseen(
        repositories=await owned_by(session, person.id),
        organizations=await _only_admin_of(session, person),
        is_held=await hold_on(session, person.id) is not None,
        is_last_admin=person.is_admin and not await session.scalar(admins),
        counts={name: amount for name, amount in sorted(counts.items()) if amount},
    )


async def erase(session: AsyncSession, person: Person, *, images: ImageFolder, by: Principal) -> dict[str, int]:
    """Forget a person; returns what went, by table. It cannot be taken back.

    Their sessions, tokens, keys, prompts, images, answers, acceptances, notices and memberships go; their account stays
    as a number without name, address or way in. What they wrote in discussions, and commits in repositories of others,
    stays. Raises NotAllowed unless they (in person) or an administrator ask for it, Conflict for what is in the way.
    """
    if by.token_id is not None or not (by.is_admin or by.person_id == person.id):
        raise NotAllowed("An account is erased by its owner, signed in.", next_step="Sign in and try again.")
    # Locked first, so that no repository, grant or session is given to somebody who is being forgotten.
    await session.execute(sa.select(col(Person.id)).where(col(Person.id) == person.id).with_for_update())
    if obstacle := (await foresee(session, person)).obstacle:
        raise obstacle
    made = list(await session.scalars(sa.select(col(Generation.id)).where(col(Generation.person_id) == person.id)))
    await _end_applications(session, person, by=by)
    gone = {
        "access_grant": await _end_grants(session, person),
        "access_request": await _clear_requests(session, person),
    }
    await _forget_names(session, person)
    for column in sorted(_of_person(person), key=lambda column: _rank(column.table.name)):
        name = column.table.name
        gone[name] = gone.get(name, 0) + await remove(session, column.table, column == person.id)
    _empty(person)
    session.add(person)
    session.add(Erasure(person_id=person.id))
    gone = {name: amount for name, amount in sorted(gone.items()) if amount}
    await ledger.record(session, "privacy:person:erase", actor=by.person_id, subject=person.id, body={"removed": gone})
    after_commit(session, partial(images.delete, made))  # type: ignore[arg-type]  # how many there were is not needed
    return gone


def _of_person(person: Person) -> list[sa.Column[str]]:
    """Columns whose rows go with the person: whatever belongs to exactly one, unless it is said to stay."""
    return [
        column
        for column in references("person")
        if (not column.nullable or column.table.name in _GO) and column.table.name not in _STAY
    ]


def _rank(name: str) -> int:
    # An acceptance is guarded: its reference to what was shown cannot be emptied, so it goes first.
    return _LAST.index(name) + 1 if name in _LAST else 0


async def _only_admin_of(session: AsyncSession, person: Person) -> list[str]:
    others = sa.orm.aliased(Membership)
    query = (
        sa.select(col(Organization.name))
        .join(Membership, col(Membership.organization_id) == col(Organization.id))
        .where(
            col(Membership.person_id) == person.id,
            col(Membership.role) == Role.ADMIN,
            ~sa.exists().where(
                col(others.organization_id) == col(Organization.id),
                col(others.role) == Role.ADMIN,
                col(others.person_id) != person.id,
            ),
        )
        .order_by(col(Organization.name_key))
    )
    return list(await session.scalars(query))


async def _end_applications(session: AsyncSession, person: Person, *, by: Principal) -> None:
    live = sa.select(col(Application.id)).where(
        col(Application.owner_id) == person.id, col(Application.removed_at).is_(None)
    )
    for application_id in list(await session.scalars(live)):
        await oauth.applications.remove(session, application_id, by=by)


async def _end_grants(session: AsyncSession, person: Person) -> int:
    """The grants stay, for they say who got which files; from now on that is a number."""
    instant, ended = now(), 0
    for grant in list(await session.scalars(sa.select(AccessGrant).where(col(AccessGrant.person_id) == person.id))):
        if grant.revoked_at is None:
            grant.revoked_at, ended = instant, ended + 1
            body = {"person_id": person.id, "is_automatic": True, "reason": "erased"}
            await ledger.record(session, "access:grant:revoke", repo=grant.repo_id, subject=grant.id, body=body)
        grant.revoke_reason = ""
        session.add(grant)
    return ended


async def _clear_requests(session: AsyncSession, person: Person) -> int:
    """Answers, reasons and notes go; that somebody asked, and what was decided, stays."""
    mine = sa.select(col(AccessRequest.id)).where(col(AccessRequest.person_id) == person.id)
    ids = list(await session.scalars(mine))
    await clear_requests(session, ids)
    return len(ids)


async def clear_requests(session: AsyncSession, ids: Sequence[str]) -> None:
    """Take all words of people out of these requests."""
    for step in (AccessStep, AccessVoice):
        of_these = col(step.request_id).in_(ids)
        blank = {"note": "", "data": {}} if step is AccessStep else {"note": ""}
        await session.execute(sa.update(step).where(of_these).values(blank))
    await session.execute(
        sa.update(AccessRequest)
        .where(col(AccessRequest.id).in_(ids))
        .values(fields={}, draft={}, reason="", conditions="", version=col(AccessRequest.version) + 1)
    )


async def _forget_names(session: AsyncSession, person: Person) -> None:
    """Names of the person that stand in rows of others."""
    keys = [person.name_key, *map(fold, await former_names(session, person.id))]
    for kind, key in product(RepoKind, keys):
        left = col(RepoRedirect.key).startswith(f"{kind.value}/{key}/", autoescape=True)
        await session.execute(sa.delete(RepoRedirect).where(left))
    await session.execute(
        sa.update(Repo).where(col(Repo.owner_person_id) == person.id).values(namespace=_number(person), name="erased")
    )
    named = sa.func.lower(col(Notice.facts)["person"].as_string()).in_(keys)
    repo = sa.func.lower(col(Notice.facts)["repo"].as_string())
    about = (repo.startswith(f"{key}/", autoescape=True) for key in keys)
    await session.execute(sa.delete(Notice).where(sa.or_(named, *about)))
    await session.execute(sa.delete(Namespace).where(col(Namespace.former_owner_id) == person.id))
    await session.execute(sa.delete(MailLink).where(col(MailLink.email_key) == person.email_key))
    # A list of others may hold one of the person's collections: the place in it goes, for it cannot stand empty.
    own_lists = sa.select(col(Collection.id)).where(col(Collection.namespace_key) == person.name_key)
    await session.execute(sa.delete(CollectionItem).where(col(CollectionItem.other_id).in_(own_lists)))


def _empty(person: Person) -> None:
    number = _number(person)
    person.name = person.name_key = number
    person.email = person.email_key = f"{number}@erased.invalid"
    person.fullname, person.password_hash = "", None
    person.is_admin, person.is_disabled = False, True


def _number(person: Person) -> str:
    return f"erased-{person.id}"
