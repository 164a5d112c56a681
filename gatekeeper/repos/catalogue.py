"""The catalogue: which repositories there are, whose they are, and their settings."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.namespaces import find_namespace
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Role
from gatekeeper.errors import Conflict, Invalid, NotAllowed, NotFound, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import commits, names, popularity, team_rights
from gatekeeper.repos.catalogue_tags import folded, with_word
from gatekeeper.repos.names import NOUNS, key_of
from gatekeeper.repos.paths import check_repo_name, is_lookup
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.tables import Gate, Repo, RepoKind

SortKey = Literal["created_at", "updated_at", "downloads", "likes", "trending"]
_ORDERS: dict[SortKey, Any] = {
    "created_at": col(Repo.created_at),
    "updated_at": col(Repo.updated_at),
    "downloads": popularity.downloads_of_repo,
    "likes": popularity.likes_of_repo,
}


async def create(
    s: AsyncSession,
    kind: RepoKind,
    namespace: str,
    name: str,
    *,
    by: Principal,
    private: bool = False,
    sdk: str | None = None,
) -> Repo:
    """Make a repository with its first commit. The caller must be the namespace, or write in the organization.

    sdk  what a Space is written for: its first card says so

    Raises NotAllowed for somebody else's namespace (also for one that does not exist), Invalid for a bad name, and
    Conflict when it exists; then `details["full_name"]` holds its name in canonical case.
    """
    owner = await own_namespace(s, kind, namespace, by=by)
    check_repo_name(name)
    made = Repo(
        kind=kind,
        namespace=owner.name,
        name=name,
        key=key_of(kind, f"{owner.name}/{name}"),
        owner_person_id=owner.person_id,
        owner_organization_id=owner.organization_id,
        is_private=private,
        created_by=by.person_id,
    )
    await insert_missing(s, Repo, [made.model_dump()])
    repo = await require(s, kind, made.full_name)
    if repo.id != made.id:
        raise Conflict(
            f"You already created this {NOUNS[kind]} repo: {repo.full_name}",
            next_step="Choose another name, or go on with the repository there is.",
            details={"full_name": repo.full_name, "kind": kind.value},
        )
    await names.reuse(s, repo)
    card = f"---\nsdk: {sdk}\n---\n".encode() if sdk and kind is RepoKind.SPACE else None
    first = await commits.begin(s, repo, card=card, by=by)
    body = {"kind": kind.value, "private": private, "commit": first}
    await ledger.record(
        s, "repos:repo:create", actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body=body
    )
    return repo


async def own_namespace(s: AsyncSession, kind: RepoKind, namespace: str, *, by: Principal) -> Namespace:
    """The namespace, if `by` may put repositories there; raises NotAllowed, also for one that does not exist."""
    owner = await find_namespace(s, namespace)
    if owner is None or not _may_own(by, owner):
        raise NotAllowed(
            f'You don\'t have the rights to create a {NOUNS[kind]} under the namespace "{namespace[:40]}".',
            next_step="Use your own name, or an organization in which you have the role write or admin.",
        )
    return owner


async def find(s: AsyncSession, kind: RepoKind, full_name: str) -> Repo | None:
    """The repository `namespace/name`, whatever the case, or None."""
    key = key_of(kind, full_name)
    if not is_lookup(key, limit=160):
        return None
    repo: Repo | None = await s.scalar(sa.select(Repo).where(col(Repo.key) == key))
    return repo


async def find_each(s: AsyncSession, kind: RepoKind, full_names: Iterable[str]) -> dict[str, Repo]:
    """The same for several names: those that are there, by the name that was asked for."""
    keys = {name: key for name in full_names if is_lookup(key := key_of(kind, name), limit=160)}
    rows = {repo.key: repo for repo in await s.scalars(sa.select(Repo).where(col(Repo.key).in_(keys.values())))}
    return {name: rows[key] for name, key in keys.items() if key in rows}


async def require(s: AsyncSession, kind: RepoKind, full_name: str) -> Repo:
    """Like `find`; raises RepoNotFound."""
    repo = await find(s, kind, full_name)
    if repo is None:
        raise RepoNotFound("Repository not found", next_step="Check the name, and that you may see it.")
    return repo


async def by_id(s: AsyncSession, repo_id: str) -> Repo | None:
    """The repository with this id unless it was deleted."""
    repo = await s.get(Repo, repo_id)
    return repo if repo is not None and repo.deleted_at is None else None


async def by_ids(s: AsyncSession, repo_ids: Collection[str]) -> Sequence[Repo]:
    """The repositories with these ids, deleted ones too."""
    return (await s.scalars(sa.select(Repo).where(col(Repo.id).in_(repo_ids)))).all()


def role_of(principal: Principal, repo: Repo) -> Role | None:
    """The principal's role in the repository, teams apart: its owner administers it, members have their role."""
    if principal.person_id is not None and repo.owner_person_id == principal.person_id:
        return Role.ADMIN
    if repo.owner_organization_id is not None:
        return principal.organizations.get(repo.owner_organization_id)
    return None


async def update_settings(
    s: AsyncSession, repo: Repo, *, private: bool | None = None, gate: Gate | None = None, by: Principal
) -> Repo:
    """Change what is given, leave the rest."""
    if repo.is_staged and (private is not None or gate is not None):
        raise Invalid(
            "This repository is released in stages, which decide who sees what.",
            next_step="Change the stage of its releases instead.",
        )
    changes: dict[str, str | bool] = {}
    if private is not None and private != repo.is_private:
        repo.is_private = changes["private"] = private
    if gate is not None and gate != repo.gate:
        repo.gate, changes["gate"] = gate, gate.value
    if changes:
        s.add(repo)
        await ledger.record(
            s, "repos:repo:update", actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body=changes
        )
    return repo


async def delete(s: AsyncSession, repo: Repo, *, by: Principal) -> None:
    """Take the repository out of the catalogue. Its name is free again; nothing that refers to its id comes back."""
    repo.key = None
    repo.deleted_at = now()
    s.add(repo)
    await names.forget(s, repo)
    await team_rights.forget(s, repo)
    await s.flush()  # frees the name for a repository made in the same transaction
    await ledger.record(
        s, "repos:repo:delete", actor=by.person_id, token=by.token_id, repo=repo.id, subject=repo.id, body={}
    )


async def listing(
    s: AsyncSession,
    kind: RepoKind,
    *,
    visible: sa.ColumnElement[bool],
    search: str = "",
    author: str = "",
    sort: SortKey = "updated_at",
    after: str | None = None,
    where: Sequence[sa.ColumnElement[bool]] = (),
    limit: int = 50,
    in_tags: bool = False,
) -> Sequence[Repo]:
    """Repositories that meet `visible`, highest `sort` first.

    after    id of the last one already seen
    where    further conditions on Repo, such as `tagged`
    in_tags  `search` finds tags of cards, too: after names, and of each the card that the searcher may read decides
    """
    if not is_lookup(author):
        return []
    order = popularity.trending_of_repo() if sort == "trending" else _ORDERS[sort]
    # A name that has the words comes before a tag that has them.
    ranks = [sa.case((matching(kind, search), 1), else_=0)] if in_tags and search else []
    keys: list[Any] = [*ranks, order, col(Repo.id)]
    query = sa.select(Repo).where(matching(kind, search, in_tags=in_tags), visible, *where)
    if author:
        query = query.where(sa.func.lower(col(Repo.namespace)) == author.lower())
    if after is not None:
        last = (await s.execute(sa.select(*keys).where(col(Repo.id) == after))).one_or_none()
        if last is None:
            raise NotFound("The listing cannot go on from there.", next_step="Start it again.")
        query = query.where(_below(keys, tuple(last)))
    query = query.order_by(*(key.desc() for key in keys)).limit(limit)
    return (await s.scalars(query)).all()


def matching(kind: RepoKind, search: str, *, in_tags: bool = False) -> sa.ColumnElement[bool]:
    """A condition on Repo: one of this kind with every word of `search` in its name; _ and - are the same there.

    in_tags  or in a tag of some card of it, see `tagged`
    """
    if not is_lookup(search):
        return sa.false()
    key = sa.func.replace(col(Repo.key), "_", "-")
    words = [
        sa.or_(key.contains(word, autoescape=True), *([with_word(word)] if in_tags else []))
        for word in words_of(search)
    ]
    return sa.and_(col(Repo.kind) == kind, col(Repo.key).is_not(None), *words)


def words_of(search: str) -> list[str]:
    """The words of a search, each of which must be found; folded as `folded` folds what they are looked for in."""
    return folded(search).split()[:8]


def _below(keys: Sequence[sa.ColumnElement[Any]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """What comes after these values where the first key counts most, highest first."""
    (key, *keys), (value, *values) = keys, values
    return sa.or_(key < value, sa.and_(key == value, _below(keys, values))) if keys else key < value


def _may_own(by: Principal, owner: Namespace) -> bool:
    if owner.person_id is not None:
        return owner.person_id == by.person_id
    return by.organizations.get(owner.organization_id or "") in (Role.ADMIN, Role.WRITE)
