"""Lists from the same rules: a filter in SQL that lets through whatever may be known, then each row decided again."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.tables import AccessGrant
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Role
from gatekeeper.authz.actions import Action
from gatekeeper.authz.audiences import AUDIENCES, PLACES, SIDES, attributes_of
from gatekeeper.authz.decide import ask, decide
from gatekeeper.authz.facts import load_many
from gatekeeper.authz.outcome import Allowed
from gatekeeper.authz.policies import Policies
from gatekeeper.authz.resource import Context, Hub, Question
from gatekeeper.releases.tables import Release, Stage
from gatekeeper.repos import team_rights
from gatekeeper.repos.tables import Gate, Repo, RepoKind

_STAGES = frozenset(stage.value for stage in Stage)
# What rows of the database can tell about a person and a repository: a role, and a grant.
_NOBODY, _GRANT, _TESTER = "signed-in", "grant", "named"
_STANDINGS = (_NOBODY, _GRANT, _TESTER)  # each includes the ones before
_ROLES = {None: _NOBODY, Role.READ: "org", Role.WRITE: "owners", Role.ADMIN: "maintainers"}
# Side states, and whether terms are accepted: in any way, and with nothing out of the ordinary.
_ANY = tuple(itertools.product(SIDES, (False, True)))
_ORDINARY = (("", False),)


class _Asks(NamedTuple):
    """What is asked of every combination: who, what, of one stage or all places, and in which ways."""

    policies: Policies
    kind: str
    action: Action
    stage: Stage | None
    ways: tuple[tuple[str, bool], ...]


def listing_filter(
    policies: Policies,
    principal: Principal,
    instant: datetime,
    *,
    action: Action = Action.KNOW,
    stage: Stage | None = None,
    is_sure: bool = False,
) -> sa.ColumnElement[bool]:
    """A condition on `Repo` that every repository meets which `principal` may know, or do `action` to.

    It is the policies evaluated partially: the principal is known, and what the database knows about them and about a
    repository (role, grant, stage, gate, side state, terms) takes few values, so every combination is asked about and
    those that are let in become the condition. No operator of the policy language has to be translated.

    It may let more through than a decision would (a row's side state and terms are not looked at): every row that is
    shown must be decided again. For numbers, where no row is decided:

    stage    only where a release at this stage lets them
    is_sure  only where it takes neither accepted terms nor a side state; holds for repositories without side states
    """
    hub = Hub(principal.person_id)
    asked = ask(policies, principal, hub, instant)
    kind, base = asked.principal, asked.context
    base = base._replace(token_pending=False)  # decides what may be done, never what may be known
    asks = _Asks(policies, kind, action, stage, _ORDINARY if is_sure else _ANY)
    covered = _covered(principal)
    inside = _known(asks, principal, base._replace(token_covers=True), instant)
    if covered is None:
        return sa.and_(col(Repo.key).is_not(None), inside)
    outside = _known(asks, principal, base._replace(token_covers=False), instant)
    return sa.and_(col(Repo.key).is_not(None), sa.or_(sa.and_(covered, inside), outside))


def _covered(principal: Principal) -> sa.ColumnElement[bool] | None:
    """The condition that the token is about a repository; None where it is about all of them (`Principal.covers`)."""
    reach, closed = principal.reach, sorted(principal.closed)
    if reach is None and not closed:
        return None
    conditions: list[sa.ColumnElement[bool]] = []
    if reach is not None:
        owners = sorted(reach.owners)
        named = (
            col(Repo.id).in_(sorted(reach.repositories)),
            col(Repo.owner_organization_id).in_(owners),
            col(Repo.owner_person_id).in_(owners),
        )
        conditions.append(sa.or_(*named))
    if closed:
        organization = col(Repo.owner_organization_id)
        conditions.append(sa.or_(organization.is_(None), organization.not_in(closed)))
    return sa.and_(*conditions)


def _known(asks: _Asks, principal: Principal, base: Context, instant: datetime) -> sa.ColumnElement[bool]:
    conditions = []
    for role, standing in itertools.product(_ROLES, _STANDINGS):
        if principal.person_id is None and (role, standing) != (None, _NOBODY):
            continue
        places = _places(asks, base, _ROLES[role], standing)
        # What one has with less is in the conditions of that; only what this combination adds is left to say.
        places = places.difference(
            *(_places(asks, base, _ROLES[role], less) for less in _less(standing)),
            *([_places(asks, base, _NOBODY, standing)] if role is not None else []),
        )
        if places:
            who = [*([_has_role(principal, role)] if role else []), *_holds(principal, standing, instant)]
            conditions.append(sa.and_(_in_places(places), *who))  # what the row itself tells comes first: it is cheap
    return sa.or_(sa.false(), *conditions)


async def filter_known(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    repos: Sequence[Repo],
    instant: datetime,
    *,
    action: Action = Action.KNOW,
) -> list[Repo]:
    """Those of `repos` that `principal` may know (or do `action` to, where that asks for no accepted terms), in the
    same order: the single decision, in four queries for all."""
    resources = await load_many(session, principal, repos)
    return [
        repo
        for repo, resource in zip(repos, resources, strict=True)
        if isinstance(decide(policies, principal, action, resource, instant), Allowed)
    ]


async def visible(
    session: AsyncSession,
    policies: Policies,
    principal: Principal,
    kind: RepoKind | None,
    *,
    instant: datetime,
    where: Iterable[sa.ColumnElement[bool]] = (),
    limit: int = 50,
    offset: int = 0,
) -> list[Repo]:
    """Repositories that `principal` may know, last changed first. A page may be shorter than `limit`.

    kind   None for every kind
    where  further conditions on Repo, such as its owner
    """
    query = sa.select(Repo).where(listing_filter(policies, principal, instant), *where)
    if kind is not None:
        query = query.where(col(Repo.kind) == kind)
    query = query.order_by(col(Repo.updated_at).desc(), col(Repo.id).desc()).limit(limit).offset(offset)
    rows = (await session.scalars(query)).all()
    return await filter_known(session, policies, principal, rows, instant)


@lru_cache(maxsize=4096)
def _places(asks: _Asks, base: Context, role: str, standing: str) -> frozenset[str]:
    """The places whose repositories may be acted on so, in one of the ways asked about."""
    context = base._replace(**_facts(role), **_facts(standing))
    return frozenset(
        place
        for place in (PLACES if asks.stage is None else (asks.stage.value,))
        if any(
            asks.policies.evaluate(
                Question(asks.kind, attributes_of(place, side=side), context._replace(terms_accepted=accepted)),
                asks.action,
            ).is_allowed
            for side, accepted in asks.ways
        )
    )


def _facts(audience: str) -> dict[str, Any]:
    ordinary = Context()._asdict()
    return {name: fact for name, fact in AUDIENCES[audience].context._asdict().items() if fact != ordinary[name]}


def _less(standing: str) -> tuple[str, ...]:
    return _STANDINGS[: _STANDINGS.index(standing)]


def _holds(principal: Principal, standing: str, instant: datetime) -> list[sa.ColumnElement[bool]]:
    """The condition that they hold the grant which this standing takes."""
    if standing == _NOBODY:
        return []
    grant = sa.select(col(AccessGrant.repo_id)).where(
        col(AccessGrant.person_id) == principal.person_id,
        col(AccessGrant.revoked_at).is_(None),
        col(AccessGrant.suspended_at).is_(None),
        sa.or_(col(AccessGrant.ends_at).is_(None), col(AccessGrant.ends_at) > instant),
    )
    # One small set that is asked, not one look-up for each row of a list.
    return [col(Repo.id).in_(grant.where(col(AccessGrant.is_tester)) if standing == _TESTER else grant)]


@lru_cache(maxsize=1024)
def _in_places(places: frozenset[str]) -> sa.ColumnElement[bool]:
    """Repositories that stand at one of the places; a staged one counts as a draft until something is released."""
    stages = places & _STAGES
    conditions: list[sa.ColumnElement[bool]] = []
    if stages:
        released = (
            sa.exists()
            .where(col(Release.repo_id) == col(Repo.id), col(Release.stage).in_([Stage(stage) for stage in stages]))
            .correlate(Repo)
        )
        is_known = sa.true() if Stage.DRAFT.value in stages else released
        conditions.append(sa.and_(col(Repo.is_staged), is_known))
    unstaged = ~col(Repo.is_staged)
    if "private" in places:
        conditions.append(sa.and_(unstaged, col(Repo.is_private)))
    gates = {"public": Gate.NONE, "auto": Gate.AUTO, "manual": Gate.MANUAL}
    public = [gate for place, gate in gates.items() if place in places]
    if public:
        conditions.append(sa.and_(unstaged, ~col(Repo.is_private), col(Repo.gate).in_(public)))
    return sa.or_(*conditions) if conditions else sa.false()


def _has_role(principal: Principal, role: Role) -> sa.ColumnElement[bool]:
    organizations = [id for id, held in principal.organizations.items() if held is role]
    has: list[sa.ColumnElement[bool]] = [col(Repo.owner_organization_id).in_(organizations)]
    if role is Role.ADMIN:
        has.append(col(Repo.owner_person_id) == principal.person_id)
    if principal.person_id is not None and principal.in_teams:
        has.append(col(Repo.id).in_(team_rights.repos_with(principal.person_id, role)))
    return sa.or_(*has)
