"""What I have used: how I stand with each quota, day by day, and every order as a table for other programs."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from starlette.responses import Response

from gatekeeper.authz import Action
from gatekeeper.generation import Generation, Safety, usage
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_DAYS = 30
TABLE_DAYS = 366
COLUMNS = (
    "id", "model", "revision", "stage", "status", "images_ordered", "images", "compute_seconds", "started_at",
    "finished_at",
)  # fmt: skip


async def show(call: Call) -> Response:
    """`GET /settings/usage`."""
    safety = Safety.load(call.gatekeeper.policies.directory)
    orders, images, seconds = Counter[date](), Counter[date](), Counter[date]()
    for made, _ in await usage.orders_since(call.session, call.principal, now() - timedelta(days=_DAYS)):
        day = made.started_at.date()
        orders[day] += 1
        images[day] += made.charged_images
        seconds[day] += made.charged_seconds  # type: ignore[assignment]  # counters add fractions as well
    return render(
        call,
        "portal/usage.html",
        standings=await usage.standings(call.session, call.principal, safety),
        days=[(day, orders[day], images[day], seconds[day]) for day in sorted(orders, reverse=True)],
    )


async def table(call: Call) -> Response:
    """`GET /settings/usage.csv`: one line for each order of a year."""
    orders = await usage.orders_since(call.session, call.principal, now() - timedelta(days=TABLE_DAYS))
    return csv_of(COLUMNS, [cells(made, model) for made, model in orders], name="usage")


def cells(made: Generation, model: str) -> tuple[object, ...]:
    """An order under `COLUMNS`."""
    return (
        made.id,
        model,
        made.commit_id if model else "",
        made.stage,
        made.state.value,
        made.settings.get("images", ""),
        len(made.image_sha256),
        f"{made.charged_seconds:.3f}",
        instant_text(made.started_at),
        instant_text(made.finished_at) if made.finished_at else "",
    )


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[object]], *, name: str) -> Response:
    """A table for other programs, to be saved as `name`.csv."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(columns)
    lines.writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "private, no-store"}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


ROUTES = [
    guarded("/settings/usage", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/usage.csv", table, needs=Action.USE_ACCOUNT),
]
