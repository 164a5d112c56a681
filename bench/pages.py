"""How long the server takes for each page of a full hub, and how many statements the page makes.

    python bench/pages.py [--events 20000] [--rounds 9]

Full size is 1,000,000 events, with 100,000 requests and 10,000 repositories (see bench/filling.py); fewer events scale
all of it. Every page of the portal is asked by a reader and an administrator, every page of the panel by the latter;
what is left out, and why, stands below. Each is asked at a tenth of the size too, which shows what grows. Goal at full
size: a median below 100 ms for every page. Times are of the whole application without sockets, in one process.
"""

import argparse
import asyncio
import logging
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import structlog
from filling import URL, Known, begin, fill, opened
from sqlalchemy import event

from gatekeeper.web import admin, portal
from gatekeeper.web.state import Gatekeeper

FULL = 1_000_000
GOAL_MS = 100
# Lists narrowed to a few, and what programs ask instead of a page.
_CHOICES = {
    "reader": (
        "/models?q=model00",
        "/models?stage=research_preview",
        "/models?can=download",
        "/api/models?limit=100&full=true",
        "/api/models/keeper/gated",
    ),
    "administrator": (
        "/admin/requests?state=rejected",
        "/admin/people?q=person0000",
        "/admin/ledger?kind=repos:file:download",
        "/admin/ledger?since=2020-01-01&until=2020-02-01",
    ),
}
_LEFT_OUT = {
    r"/(datasets|spaces)/.*": "the same page as a model's",
    r"/api/.*|.*\.(json|csv)|.*/{file}|.*/picture/.*|/admin/ledger/{id}/proof": "a file or data, no page",
    r"/(login|signup|reset|logout|settings/email).*": "for who is not signed in, or follows a link that is used once",
    r"/settings/second-factor/app|/{ns}/{name}/commit/{rev}|/{ns}/{name}/compare": "sends on to a page that is asked",
    r"/_styleguide|/verify/report|/admin/grants/revoke": "for developers; about what was just sent or ticked",
    r"/{ns}/{name}/evaluations/{id}": "a report takes real images",
    r"/admin/blocks/{id}/revoke|/admin/prerequisites/demands.*": "asks once more before an act on what is not there",
    r"/{ns}/{name}/playground|/{ns}/{name}/tree/{rev}/{path:rest}": "no inference process, no folder in what is filled",
    r".*/comment/{id}|/{ns}/{name}/compare/{range}": "one comment, two commits: nothing that grows with the hub",
}
_OF_ONE = {  # what belongs to one of the two
    "/receipts/{id}": "reader",
    "/generations/{id}": "reader",
    "/settings/webhooks/{id}": "reader",
    "/collections/{namespace}/{slug}/edit": "administrator",
}
_STAGED = "model000002"  # has releases


def main() -> None:
    """Fill, ask every page, fill on, ask again; exit status 1 where a page misses the goal at full size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder:
        slow = asyncio.run(_run(Path(folder), options.events, options.rounds))
    if options.events >= FULL and slow:
        raise SystemExit(f"above {GOAL_MS} ms: {', '.join(slow)}")


async def _run(data: Path, events: int, rounds: int) -> list[str]:
    async with opened(data) as (application, gatekeeper):
        known = await begin(gatekeeper)
        measured: list[dict[str, tuple[float, int]]] = []
        for have, size in ((0, events // 10), (events // 10, events)):
            started = time.perf_counter()
            await fill(gatekeeper, known, have, size)
            print(f"{size:,} events, {size // 10:,} people and requests, {max(size // 100, 1):,} repositories", end="")
            print(f", filled in {time.perf_counter() - started:.0f} s", flush=True)
            measured.append(await _measure(application, gatekeeper, known, rounds))
    print(f"{'page':<58} {'ms':>8} {'of a tenth':>10} {'statements':>10}")
    few, many = measured
    for name, (milliseconds, statements) in sorted(many.items(), key=lambda row: -row[1][0]):
        print(f"{name:<58} {milliseconds:8.1f} {milliseconds / few[name][0]:9.2f}x {statements:10}")
    return [name for name, (milliseconds, _) in many.items() if milliseconds > GOAL_MS]


async def _measure(application: Any, gatekeeper: Gatekeeper, known: Known, rounds: int) -> dict[str, tuple[float, int]]:
    """Median milliseconds and statements of each page, by who asks and its path."""
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(gatekeeper.db.engine.sync_engine, "before_cursor_execute", count)
    found = {}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=application), base_url=URL, timeout=600) as client:
        for who, headers in (("reader", known.browser), ("administrator", known.admin)):
            for name, path in _addresses(known, who).items():
                took = []
                for _ in range(rounds + 1):
                    statements, started = 0, time.perf_counter()
                    answer = await client.get(path, headers=headers)
                    took.append((time.perf_counter() - started) * 1000)
                    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
                found[f"{who} {name}"] = (statistics.median(took[1:]), statements)
    event.remove(gatekeeper.db.engine.sync_engine, "before_cursor_execute", count)
    return found


def _addresses(known: Known, who: str) -> dict[str, str]:
    """Each page that one comes to, by its route; the panel's are for an administrator alone."""
    routes = portal.ROUTES if who == "reader" else [*portal.ROUTES, *admin.ROUTES]
    pages = {
        route.pattern: _filled(known, route.pattern)
        for route in routes
        if "GET" in route.methods
        and not any(re.fullmatch(left_out, route.pattern) for left_out in _LEFT_OUT)
        and _OF_ONE.get(route.pattern, who) == who
    }
    return pages | {path: path for path in _CHOICES[who]}


def _filled(known: Known, pattern: str) -> str:
    is_staged = "/releases" in pattern
    values = {
        "ns": "keeper",
        "name": _STAGED if is_staged else "gated",
        "rev": known.commit if is_staged or "/commit/" in pattern else "main",
        "path:rest": "README.md",
        "num": "1",
        "organization": "group00000",
        "namespace": "keeper",
        "person": "person0000000",
        "purpose": "download",
        "kind:kind": "models",
        "id": known.places.get(pattern, ""),
        **known.places,
    }
    return re.sub(r"{([^}]+)}", lambda match: values[match[1]], pattern)


if __name__ == "__main__":
    main()
