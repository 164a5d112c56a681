"""Where maintainers begin: what needs them, and how the hub does."""

from starlette.responses import Response

from gatekeeper import access, transparency
from gatekeeper.authz import Action
from gatekeeper.generation.flow import made_by_day
from gatekeeper.web.admin import dashboard
from gatekeeper.web.admin.incidents import runs_incidents
from gatekeeper.web.admin.scope import decided_rows, in_care, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_OLDEST = 5
_DAYS = 14


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
        made=await made_by_day(call.session, _DAYS) if is_operator else [],
        parts=parts,
        failed=backlog.failed if backlog else (),
    )


ROUTES = [
    guarded("/admin", overview, needs=Action.USE_ACCOUNT),
]
