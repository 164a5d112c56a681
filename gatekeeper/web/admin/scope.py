"""Which repositories a maintainer's pages are about: those on which the decision says they may act.

A condition made from the policies narrows the rows in SQL, however many repositories there are; what is shown is
decided again, for a whole page at once.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import access, accounts, authz
from gatekeeper.access import AccessRequest
from gatekeeper.accounts import Organization, Person
from gatekeeper.authz import Action
from gatekeeper.errors import NotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, key_of
from gatekeeper.web.guard import Call

PAGE = 50


def in_care(call: Call, action: Action = Action.REVIEW) -> sa.ColumnElement[bool]:
    """The condition on Repo that every repository meets on which the caller may do `action`."""
    return authz.listing_filter(call.gatekeeper.policies, call.principal, now(), action=action)


async def decided(call: Call, repos: Iterable[Repo], action: Action = Action.REVIEW) -> list[Repo]:
    """Those of `repos` on which the caller may do `action`, decided one by one with the facts of all loaded at once."""
    each = list({repo.id: repo for repo in repos}.values())
    if not each:
        return []
    return await authz.filter_known(call.session, call.gatekeeper.policies, call.principal, each, now(), action=action)


def in_care_or_gone(call: Call) -> sa.ColumnElement[bool]:
    """As `in_care`; for who runs the hub also what was deleted, which is in nobody else's care any more."""
    gone = col(Repo.deleted_at).is_not(None)
    return sa.or_(in_care(call), gone) if runs_hub(call) else in_care(call)


async def decided_or_gone(call: Call, repos: Iterable[Repo]) -> list[Repo]:
    """As `decided`; for who runs the hub also what was deleted."""
    each = list(repos)
    gone = [repo for repo in each if repo.deleted_at is not None] if runs_hub(call) else []
    return [*gone, *await decided(call, (repo for repo in each if repo.deleted_at is None))]


async def decided_rows(call: Call, rows: Sequence[access.Row]) -> list[access.Row]:
    """The rows whose repositories the caller may review."""
    may = {repo.id for repo in await decided(call, (row.repo for row in rows))}
    return [row for row in rows if row.repo.id in may]


async def maintained(
    call: Call, *, after: str = "", where: Iterable[sa.ColumnElement[bool]] = ()
) -> tuple[list[Repo], str | None]:
    """A page of repositories that the caller may review and that meet `where`, by name; and where the next begins."""
    query = sa.select(Repo).where(in_care(call), col(Repo.key) > after, *where)
    rows = (await call.session.scalars(query.order_by(col(Repo.key)).limit(PAGE + 1))).all()
    shown = await decided(call, rows[:PAGE])
    return shown, rows[PAGE - 1].key if len(rows) > PAGE else None


async def named(call: Call, name: str) -> Repo | None:
    """The repository of a name that the caller may review; None also for one that is not theirs."""
    keys = [key_of(kind, name) for kind in RepoKind]
    found = await call.session.scalars(sa.select(Repo).where(col(Repo.key).in_(keys)).order_by(col(Repo.key)))
    may = await decided(call, found.all())
    return may[0] if may else None


async def may_review(call: Call, repo: Repo) -> bool:
    """Whether the caller may review requests for this repository."""
    return bool(await decided(call, [repo]))


async def reviewable(call: Call, request_id: str) -> tuple[AccessRequest, Repo]:
    """The request and its repository, once the caller may review it; for others it does not exist."""
    request, repo = await found(call, request_id)
    if not await may_review(call, repo):
        raise missing()
    return request, repo


async def found(call: Call, request_id: str) -> tuple[AccessRequest, Repo]:
    """The request and its repository, not decided yet. Raises NotFound; a draft is its author's alone."""
    request = await call.session.get(AccessRequest, request_id)
    repo = await call.session.get(Repo, request.repo_id) if request else None
    if request is None or repo is None or repo.deleted_at is not None:
        raise missing()
    if request.state is access.RequestState.DRAFT:
        raise missing()
    return request, repo


async def names_of(call: Call, ids: Iterable[str | None]) -> dict[str, str]:
    """Names of people by their ids."""
    wanted = {id for id in ids if id}
    if not wanted:
        return {}
    rows = await call.session.execute(sa.select(col(Person.id), col(Person.name)).where(col(Person.id).in_(wanted)))
    return {row[0]: row[1] for row in rows}


async def managed_organization(call: Call) -> Organization:
    """The organization of the address, for those who manage it."""
    organization = await accounts.organizations.find(call.session, call.params["organization"])
    if organization is None:
        raise NotFound("There is no such organization.", next_step="Take it from the list.")
    hub = await authz.load_namespace(call.session, call.principal, organization.name)
    authz.require(call.gatekeeper.policies, call.principal, Action.MANAGE_ORGANIZATION, hub, now())
    return organization


def next_page(path: str, asked: dict[str, str], after: str | None) -> str | None:
    """The address of the page that begins after a cursor, with what was asked for; None where there is none."""
    return (
        f"{path}?{urlencode({name: text for name, text in asked.items() if text} | {'after': after})}"
        if after
        else None
    )


def missing() -> NotFound:
    """The one answer for a request that is not there and for one that is none of the caller's business."""
    return NotFound("There is no such request.", next_step="Take it from the list of requests.")


def runs_hub(call: Call) -> bool:
    """Whether the caller sees people and the ledger: decides which links are shown, nothing else."""
    hub = authz.Hub(call.principal.person_id)
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.ADMIN_PEOPLE, hub, now()))
