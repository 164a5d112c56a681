"""Where maintainers begin: what needs them, and how the hub does."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import Response

from gatekeeper import access, transparency
from gatekeeper.authz import Action
from gatekeeper.generation.flow import made_by_day
from gatekeeper.repos import Repo, usage
from gatekeeper.web import words
from gatekeeper.web.admin import dashboard
from gatekeeper.web.admin.incidents import runs_incidents
from gatekeeper.web.admin.scope import decided_rows, in_care, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render
from gatekeeper.web.templating import told

_OLDEST = 5
_DAYS = 14
_MOST_CAUSES = 8


@dataclass(frozen=True)
class Plot:
    """Numbers of the last days. `caption` says of what; `title` is short, for the table of all."""

    id: str
    title: str
    caption: str
    rows: list[tuple[str, int]]
    unit: str = ""

    @property
    def series(self) -> tuple[str, str, list[tuple[str, str]]]:
        """The same as a column of the table."""
        return self.id, self.title, [(day, told(number, self.unit)) for day, number in self.rows]


async def overview(call: Call) -> Response:
    """`GET /admin`."""
    mine, is_operator = in_care(call), runs_incidents(call)
    queue = await access.review_queue(call.session, repos=[mine], limit=_OLDEST)
    parts, backlog = await dashboard.health(call) if is_operator else ([], None)
    theirs = None if is_operator else sa.select(col(Repo.id)).where(mine)
    denied = await transparency.denials(call.session, _DAYS, repos=theirs)
    where = "on the whole hub" if is_operator else "in your care"
    asked = await access.asked_by_day(call.session, _DAYS, repos=mine)
    plots = [
        Plot("asked", "Requests", "Requests for access", asked),
        Plot("denied", "Refusals", "Refusals, as last counted", denied.by_day),
    ]
    if is_operator:
        stored = await usage.stored_by_day(call.session, _DAYS)
        plots += [
            Plot("made", "Orders made", "Orders that made images", await made_by_day(call.session, _DAYS)),
            Plot("stored", "Stored", "Large files stored", stored, "bytes"),
        ]
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
        plots=plots,
        causes=[(words.cause(name, call.gatekeeper.policies), count) for name, count in denied.by_cause[:_MOST_CAUSES]],
        more_causes=len(denied.by_cause) - _MOST_CAUSES,
        where=where,
        parts=parts,
        failed=backlog.failed if backlog else (),
    )


ROUTES = [
    guarded("/admin", overview, needs=Action.USE_ACCOUNT),
]
