"""Where maintainers begin: what needs them, how the hub does, and the repositories they maintain."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.responses import Response

from gatekeeper import access, authz, transparency
from gatekeeper.authz import Action, Revision
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.web.admin import dashboard
from gatekeeper.web.admin.incidents import runs_incidents
from gatekeeper.web.admin.scope import decided_rows, in_care, maintained, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render, repo_url

_OLDEST = 5
_DAYS = 14


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
    mine, is_operator = in_care(call), runs_incidents(call)
    queue = await access.review_queue(call.session, repos=[mine], limit=_OLDEST)
    parts, backlog = await dashboard.health(call) if is_operator else ([], None)
    return render(
        call,
        "admin/overview.html",
        sees_all=runs_hub(call),
        tiles=await dashboard.tiles(call, is_operator=is_operator),
        oldest=[
            {
                "id": row.request.id,
                "person": row.person.name,
                "full_name": row.repo.full_name,
                "submitted_at": row.request.submitted_at,
            }
            for row in await decided_rows(call, queue.rows)
        ],
        asked=await access.asked_by_day(call.session, _DAYS, repos=mine),
        denied=await transparency.denials_by_day(call.session, _DAYS) if is_operator else [],
        parts=parts,
        failed=backlog.failed if backlog else (),
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


ROUTES = [
    guarded("/admin", overview, needs=Action.USE_ACCOUNT),
    guarded("/admin/repositories", repositories, needs=Action.USE_ACCOUNT),
]
