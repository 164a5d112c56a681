"""Where maintainers begin: what needs a decision, and the repositories they maintain."""

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import Response

from gatekeeper import access, authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Proposal, ProposalState, Release
from gatekeeper.web.admin.scope import maintained, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, see

_OLDEST = 5


async def overview(call: Call) -> Response:
    """`GET /admin`."""
    repos = await maintained(call)
    ids = frozenset(repo.id for repo in repos)
    queue = await access.review_queue(call.session, repo_ids=ids, limit=_OLDEST)
    waiting = await access.count_waiting(call.session, repo_ids=ids)
    proposals = await _count(
        call,
        sa.select(sa.func.count())
        .select_from(Proposal)
        .join(Release, col(Release.id) == col(Proposal.release_id))
        .where(col(Proposal.state) == ProposalState.OPEN, col(Release.repo_id).in_(ids)),
    )
    held = await _count(
        call,
        sa.select(sa.func.count())
        .select_from(Release)
        .where(col(Release.held_at).is_not(None), col(Release.repo_id).in_(ids)),
    )
    counts = [
        (waiting, "request waits", "requests wait", "for a decision", "/admin/requests"),
        (proposals, "promotion is", "promotions are", "proposed", "/admin/repositories"),
        (held, "release is", "releases are", "on hold", "/admin/repositories"),
        (len(repos), "repository", "repositories", "in your care", "/admin/repositories"),
    ]
    return render(
        call,
        "admin/overview.html",
        sees_all=runs_hub(call),
        counts=[
            {"count": count, "text": f"{one if count == 1 else many} {rest}", "href": href}
            for count, one, many, rest, href in counts
        ],
        oldest=[
            {
                "id": row.request.id,
                "person": row.person.name,
                "full_name": row.repo.full_name,
                "submitted_at": row.request.submitted_at,
            }
            for row in queue.rows
        ],
    )


async def repositories(call: Call) -> Response:
    """`GET /admin/repositories`."""
    rows = []
    for repo in await maintained(call):
        resource = await authz.load(call.session, call.principal, repo, instant=now())
        seen = await see(call, repo, resource, with_tabs=False)
        rows.append(
            {"head": seen.head, "waiting": await access.count_waiting(call.session, repo_ids=frozenset({repo.id}))}
        )
    return render(call, "admin/repositories.html", sees_all=runs_hub(call), repos=rows)


async def _count(call: Call, query: "sa.Select[int]") -> int:
    return int(await call.session.scalar(query) or 0)


ROUTES = [
    guarded("/admin", overview, needs=Action.USE_ACCOUNT),
    guarded("/admin/repositories", repositories, needs=Action.USE_ACCOUNT),
]
