"""What an organization's people have made, for its administrators: day by day, by member, and as a table."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from starlette.responses import Response

from gatekeeper.generation import Safety, usage
from gatekeeper.generation.usage import Ordered
from gatekeeper.kit.clock import now
from gatekeeper.web.admin.organization_tokens import managed
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.usage import COLUMNS, TABLE_DAYS, cells, csv_of
from gatekeeper.web.portal.views import policies_dir, render

_PATH = "/admin/organizations/{organization}/usage"
_DAYS = 14


async def show(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/usage`."""
    organization = await managed(call)
    today = now().date()
    orders = await usage.orders_of(call.session, organization, now() - timedelta(days=_DAYS))
    days = _sums((each.made.started_at.date().isoformat(), each) for each in orders)
    shown = [(today - timedelta(days=ago)).isoformat() for ago in reversed(range(_DAYS))]
    return render(
        call,
        "admin/organization_usage.html",
        sees_all=runs_hub(call),
        organization=organization,
        standing=await usage.standing_of(call.session, organization, Safety.load(policies_dir(call))),
        days=[(day, days.get(day, (0, 0, 0.0))[1]) for day in shown],
        tables=[
            ("Member", _sums((each.person, each) for each in orders)),
            ("Model", _sums((each.model or "others’ models", each) for each in orders)),
        ],
    )


async def table(call: Call) -> Response:
    """`GET /admin/organizations/{organization}/usage.csv`: one line for each order of a year."""
    organization = await managed(call)
    orders = await usage.orders_of(call.session, organization, now() - timedelta(days=TABLE_DAYS))
    rows = [(each.person, *cells(each.made, each.model)) for each in orders]
    return csv_of(("person", *COLUMNS), rows, name=f"usage-{organization.name}")


def _sums(orders: Iterable[tuple[str, Ordered]]) -> dict[str, tuple[int, int, float]]:
    """By name: orders, images, and seconds of computing; most images first."""
    counts, images, seconds = Counter[str](), Counter[str](), dict[str, float]()
    for name, each in orders:
        counts[name] += 1
        images[name] += each.made.charged_images
        seconds[name] = seconds.get(name, 0.0) + each.made.charged_seconds
    return {name: (counts[name], images[name], seconds[name]) for name, _ in images.most_common()}


ROUTES = [
    # Whose organization it is, `managed` decides.
    guarded(_PATH, show, needs=None),
    guarded(f"{_PATH}.csv", table, needs=None),
]
