"""What an organization's people have made, for its administrators: day by day, by member, and as a table."""

from datetime import timedelta

from starlette.responses import Response

from gatekeeper.generation import Safety, usage
from gatekeeper.kit.clock import now
from gatekeeper.kit.days import by_day, last_days
from gatekeeper.web.admin.scope import managed_organization, runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.usage import COLUMNS, TABLE_DAYS, cells, lines
from gatekeeper.web.portal.views import policies_dir, render
from gatekeeper.web.spreadsheet import csv_stream

_PATH = "/admin/organizations/{organization}/usage"
_DAYS = 14


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/usage`."""
    organization = await managed_organization(call)
    orders = usage.of_people(organization, now() - timedelta(days=_DAYS))
    days = await usage.by_day(call.session, orders)
    models = await usage.by_model(call.session, orders, organization)
    return render(
        call,
        "admin/organization_usage.html",
        sees_all=runs_hub(call),
        organization=organization,
        standing=await usage.standing_of(call.session, organization, Safety.load(policies_dir(call))),
        days=by_day(last_days(now(), _DAYS), ((day, each.images) for day, each in days.items())),
        tables=[
            ("Member", await usage.by_member(call.session, orders)),
            ("Model", {name or "others’ models": each for name, each in models.items()}),
        ],
    )


async def table(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/usage.csv`: one line for each order of a year."""
    organization = await managed_organization(call)
    orders = usage.of_people(organization, now() - timedelta(days=TABLE_DAYS))
    rows = ((line.person, *cells(line)) async for line in lines(call, orders, owner=organization))
    return csv_stream(f"usage-{organization.name}.csv", ("person", *COLUMNS), rows)


ROUTES = [
    # Whose organization it is, `managed` decides.
    guarded(_PATH, show, needs=None),
    guarded(f"{_PATH}.csv", table, needs=None),
]
