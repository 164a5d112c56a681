"""The repositories one maintains: how each stands and what waits in it, by name or by what it waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import Response

from gatekeeper import access, authz
from gatekeeper.authz import Action, Revision
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Proposal, ProposalState, Release
from gatekeeper.repos import Repo
from gatekeeper.web.admin.scope import maintained, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, repo_url

_HERE = "/admin/repositories"
_WAITING = {"": "All", "proposal": "A release with an open proposal", "held": "A release on hold"}


@dataclass(frozen=True)
class Kept:
    """A repository in the list."""

    url: str
    full_name: str
    is_private: bool
    gate: str
    stage: str
    is_held: bool
    is_withdrawn: bool
    is_embargoed: bool
    is_deprecated: bool


async def show(call: Call) -> Response:
    """`GET /admin/repositories`: a page by name; `?q=` narrows by a part of it, `?waiting=` by what waits."""
    query = call.request.query_params
    name, waiting = query.get("q", "")[:200].strip(), query.get("waiting", "")
    waiting = waiting if waiting in _WAITING else ""
    chosen = {key: value for key, value in (("q", name), ("waiting", waiting)) if value}
    repos, after = await maintained(call, after=query.get("after", ""), where=_conditions(name, waiting))
    return render(
        call,
        "admin/repositories.html",
        sees_all=runs_hub(call),
        repos=await _rows(call, repos),
        name=name,
        waiting=waiting,
        choices=list(_WAITING.items()),
        more=f"{_HERE}?{urlencode(chosen | {'after': after})}" if after else None,
    )


def with_proposals() -> sa.Select[Any]:
    """Repositories, one row for each open proposal about a release of theirs."""
    return (
        sa.select(col(Release.repo_id))
        .join(Proposal, col(Proposal.release_id) == col(Release.id))
        .where(col(Proposal.state) == ProposalState.OPEN)
    )


def with_holds() -> sa.Select[Any]:
    """Repositories, one row for each release of theirs that is on hold."""
    return sa.select(col(Release.repo_id)).where(col(Release.held_at).is_not(None))


def _conditions(name: str, waiting: str) -> list[sa.ColumnElement[bool]]:
    found = [sa.func.lower(col(Repo.namespace) + "/" + col(Repo.name)).contains(name.lower(), autoescape=True)]
    if waiting:
        found.append(col(Repo.id).in_(with_proposals() if waiting == "proposal" else with_holds()))
    return found if name else found[1:]


async def _rows(call: Call, repos: Sequence[Repo]) -> list[dict[str, Any]]:
    instant, ids = now(), [repo.id for repo in repos]
    resources = await authz.load_many(call.session, call.principal, repos)
    requests = await access.waiting_by_repo(call.session, ids)
    proposals, holds = [await _counted(call, query, ids) for query in (with_proposals(), with_holds())]
    rows = []
    for repo, resource in zip(repos, resources, strict=True):
        known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant)
        counts = {"requests": requests, "proposals": proposals, "holds": holds}
        rows.append({"head": _kept(repo, known.revision), **{what: of.get(repo.id, 0) for what, of in counts.items()}})
    return rows


async def _counted(call: Call, query: sa.Select[Any], ids: list[str]) -> dict[str, int]:
    of_these = query.where(col(Release.repo_id).in_(ids)).subquery()
    counted = sa.select(of_these.c.repo_id, sa.func.count()).group_by(of_these.c.repo_id)
    return {repo_id: int(count) for repo_id, count in await call.session.execute(counted)}


def _kept(repo: Repo, revision: Revision | None) -> Kept:
    return Kept(
        url=repo_url(repo),
        full_name=repo.full_name,
        is_private=repo.is_private,
        gate=repo.gate.value,
        stage=(revision.stage or "") if revision and repo.is_staged else "",
        is_held=bool(revision and revision.is_held),
        is_withdrawn=bool(revision and revision.is_withdrawn),
        is_embargoed=bool(revision and revision.embargoed_until),
        is_deprecated=bool(revision and revision.is_deprecated),
    )


ROUTES = [guarded(_HERE, show, needs=Action.USE_ACCOUNT)]
