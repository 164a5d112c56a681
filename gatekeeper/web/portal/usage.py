"""What I have used: how I stand with each quota, day by day, and every order as a table for other programs."""

from collections.abc import AsyncIterator
from datetime import timedelta

from starlette.responses import Response

from gatekeeper.accounts import Organization
from gatekeeper.authz import Action
from gatekeeper.generation import Safety, usage
from gatekeeper.generation.usage import Line
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render
from gatekeeper.web.spreadsheet import csv_stream

_DAYS = 30
_LINES_AT_ONCE = 2_000
TABLE_DAYS = 366
COLUMNS = (
    "id", "model", "revision", "stage", "status", "images_ordered", "images", "compute_seconds", "started_at",
    "finished_at",
)  # fmt: skip


async def show(call: Call) -> Response:
    """`GET /settings/usage`."""
    safety = Safety.load(call.gatekeeper.policies.directory)
    days = await usage.by_day(call.session, usage.of_person(call.principal, now() - timedelta(days=_DAYS)))
    return render(
        call,
        "portal/usage.html",
        standings=await usage.standings(call.session, call.principal, safety),
        days=sorted(days.items(), reverse=True),
    )


async def table(call: Call) -> Response:
    """`GET /settings/usage.csv`: one line for each order of a year."""
    orders = usage.of_person(call.principal, now() - timedelta(days=TABLE_DAYS))
    return csv_stream("usage.csv", COLUMNS, (cells(line) async for line in lines(call, orders)))


async def lines(call: Call, orders: usage.Where, *, owner: Organization | None = None) -> AsyncIterator[Line]:
    """Every order that meets the condition, read in parts while they are sent."""
    before = None
    while True:
        async with call.gatekeeper.db.read() as session:
            found = await usage.lines(session, orders, limit=_LINES_AT_ONCE, before=before, owner=owner)
        for line in found:
            yield line
        if len(found) < _LINES_AT_ONCE:
            return
        before = found[-1].id


def cells(line: Line) -> tuple[object, ...]:
    """An order under `COLUMNS`."""
    return (
        line.id,
        line.model,
        line.commit,
        line.stage,
        line.state.value,
        line.ordered,
        line.delivered,
        f"{line.seconds:.3f}",
        instant_text(line.started_at),
        instant_text(line.finished_at) if line.finished_at else "",
    )


ROUTES = [
    guarded("/settings/usage", show, needs=Action.USE_ACCOUNT),
    guarded("/settings/usage.csv", table, needs=Action.USE_ACCOUNT),
]
