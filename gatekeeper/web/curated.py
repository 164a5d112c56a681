"""Collections as one reader may know them: shared by the Hub's door and the pages, so that both leave out the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import authz, community
from gatekeeper.accounts import namespaces
from gatekeeper.accounts.tables import Namespace
from gatekeeper.authz import Action
from gatekeeper.community import Collection, ItemKind
from gatekeeper.community.collection_items import Thing
from gatekeeper.community.collections import Listed
from gatekeeper.errors import NotAllowed, NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, catalogue
from gatekeeper.web.finding import missing_repo
from gatekeeper.web.guard import Call

_REPO_KINDS = {ItemKind.MODEL: RepoKind.MODEL, ItemKind.DATASET: RepoKind.DATASET, ItemKind.SPACE: RepoKind.SPACE}


@dataclass(frozen=True)
class Shown:
    """A collection with those of its items that the reader may know."""

    listed: Listed
    things: tuple[Thing, ...]


async def require(call: Call, namespace: str, slug: str, *, needs: Action | None = None) -> Listed:
    """The collection if the caller may know it, and may do `needs` to it. A private one is a NotFound for others."""
    listed = await community.collections.find(call.session, namespace, slug)
    if listed is None or not await _knows(call, listed, {}):
        raise NotFound("Collection not found.", next_step="Check the address, or sign in if it is private.")
    if needs is not None:
        await require_namespace(call, listed.namespace, needs)
    return listed


async def require_namespace(call: Call, name: str, needs: Action) -> Namespace:
    """The namespace, once the caller may do `needs` there: one that is not there is refused like somebody else's."""
    place = await authz.load_namespace(call.session, call.principal, name[:40])
    authz.require(call.gatekeeper.policies, call.principal, needs, place, now())
    found = await namespaces.find_namespace(call.session, name)
    if found is None:
        raise NotAllowed("There is no such namespace of yours.", next_step="Use your own name.")
    return found


async def may_curate(call: Call, namespace: str) -> bool:
    """Whether the caller may change this namespace's collections."""
    place = await authz.load_namespace(call.session, call.principal, namespace)
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.CURATE, place, now()))


async def shown(call: Call, rows: Sequence[Listed]) -> list[Shown]:
    """Each of `rows` that the caller may know, with the items they may know."""
    mine: dict[str, bool] = {}  # by namespace: those of one are decided alike
    known = [listed for listed in rows if await _knows(call, listed, mine)]
    held = await community.collection_items.of(call.session, [listed.collection.id for listed in known])
    repos = {thing.repo.id: thing.repo for things in held.values() for thing in things if thing.repo is not None}
    seen = await authz.filter_known(call.session, call.gatekeeper.policies, call.principal, list(repos.values()), now())
    visible = {repo.id for repo in seen}
    found = []
    for listed in known:
        things = [
            thing
            for thing in held[listed.collection.id]
            if (thing.repo is not None and thing.repo.id in visible)
            or (thing.other is not None and await _knows(call, thing.other, mine))
        ]
        found.append(Shown(listed, tuple(things)))
    return found


async def one(call: Call, listed: Listed) -> Shown:
    """A collection that the caller may know, with the items they may know."""
    return (await shown(call, [listed]))[0]


async def named_repo(call: Call, kind: ItemKind, full_name: str) -> Repo:
    """The repository, if the caller may know it. Raises RepoNotFound, alike for a hidden and a missing one."""
    repo = await catalogue.find(call.session, _REPO_KINDS[kind], full_name)
    if repo is None:
        raise await missing_repo(call.session, call.gatekeeper.policies, call.principal)
    instant = now()
    resource = await authz.load(call.session, call.principal, repo, instant=instant)
    authz.require(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant)
    return repo


def possible(call: Call) -> sa.ColumnElement[bool]:
    """A condition on Collection that every one meets which the caller may know; each row is decided again."""
    me = call.principal
    mine = sa.select(col(Namespace.key)).where(
        sa.or_(
            col(Namespace.person_id) == me.person_id,
            col(Namespace.organization_id).in_(list(me.organizations)),
        )
    )
    return sa.or_(~col(Collection.is_private), col(Collection.namespace_key).in_(mine))


async def _knows(call: Call, listed: Listed, mine: dict[str, bool]) -> bool:
    if not listed.collection.is_private:
        return True
    if (name := listed.namespace) not in mine:
        place = await authz.load_namespace(call.session, call.principal, name)
        policies = call.gatekeeper.policies
        mine[name] = bool(authz.decide(policies, call.principal, Action.READ_COLLECTIONS, place, now()))
    return mine[name]
