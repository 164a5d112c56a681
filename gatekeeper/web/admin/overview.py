"""Where maintainers begin: what needs a decision, and the repositories they maintain."""

from dataclasses import dataclass
from urllib.parse import quote

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import Response

from gatekeeper import access, authz
from gatekeeper.authz import Action, Revision
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Proposal, ProposalState, Release
from gatekeeper.repos import Repo
from gatekeeper.web.admin.scope import decided_rows, in_care, maintained, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, repo_url

_OLDEST = 5
_MOST_COUNTED = access.MOST_COUNTED


@dataclass(frozen=True)
class Kept:
    """A repository in the list of those one maintains."""

    url: str
    full_name: str
    is_private: bool
    gate: str
    stage: str
    is_held: bool
    is_withdrawn: bool
    is_embargoed: bool
    is_deprecated: bool


async def overview(call: Call) -> Response:
    """`GET /admin`."""
    mine = in_care(call)
    queue = await access.review_queue(call.session, repos=[mine], limit=_OLDEST)
    waiting = await access.count_waiting(call.session, repos=[mine])
    proposals = await _count(
        call,
        sa.select(col(Proposal.id))
        .join(Release, col(Release.id) == col(Proposal.release_id))
        .join(Repo, col(Repo.id) == col(Release.repo_id))
        .where(col(Proposal.state) == ProposalState.OPEN, mine),
    )
    held = await _count(
        call,
        sa.select(col(Release.id))
        .join(Repo, col(Repo.id) == col(Release.repo_id))
        .where(col(Release.held_at).is_not(None), mine),
    )
    repos = await _count(call, sa.select(col(Repo.id)).where(mine))
    counts = [
        (waiting, "request waits", "requests wait", "for a decision", "/admin/requests"),
        (proposals, "promotion is", "promotions are", "proposed", "/admin/repositories"),
        (held, "release is", "releases are", "on hold", "/admin/repositories"),
        (repos, "repository", "repositories", "in your care", "/admin/repositories"),
    ]
    return render(
        call,
        "admin/overview.html",
        sees_all=runs_hub(call),
        counts=[
            {
                "count": f"{count:,} or more" if count >= _MOST_COUNTED else count,
                "text": f"{one if count == 1 else many} {rest}",
                "href": href,
            }
            for count, one, many, rest, href in counts
        ],
        oldest=[
            {
                "id": row.request.id,
                "person": row.person.name,
                "full_name": row.repo.full_name,
                "submitted_at": row.request.submitted_at,
            }
            for row in await decided_rows(call, queue.rows)
        ],
    )


async def repositories(call: Call) -> Response:
    """`GET /admin/repositories`: a page by name, and how each stands."""
    repos, after = await maintained(call, after=call.request.query_params.get("after", ""))
    instant = now()
    resources = await authz.load_many(call.session, call.principal, repos)
    waiting = await access.waiting_by_repo(call.session, [repo.id for repo in repos])
    rows = []
    for repo, resource in zip(repos, resources, strict=True):
        known = authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant)
        rows.append({"head": _kept(repo, known.revision), "waiting": waiting.get(repo.id, 0)})
    more = f"/admin/repositories?after={quote(after, safe='')}" if after else None
    return render(call, "admin/repositories.html", sees_all=runs_hub(call), repos=rows, more=more)


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


async def _count(call: Call, query: "sa.Select[str]") -> int:
    """How many there are, counted up to a bound so that a large hub's page stays quick."""
    found = query.limit(_MOST_COUNTED).subquery()
    return int(await call.session.scalar(sa.select(sa.func.count()).select_from(found)) or 0)


ROUTES = [
    guarded("/admin", overview, needs=Action.USE_ACCOUNT),
    guarded("/admin/repositories", repositories, needs=Action.USE_ACCOUNT),
]
