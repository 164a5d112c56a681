"""Every route that names a repository answers for one that is hidden as for one that is not there."""

import re

import httpx2
import pytest
import sqlalchemy as sa

from gatekeeper import accounts, repos, tokens
from gatekeeper.repos import RepoKind
from gatekeeper.web.routing import RawRoute
from tests.gatekeeper.web.site import URL, Site

pytestmark = pytest.mark.anyio

HIDDEN, MISSING = "veiled", "absent"  # of one length, so that sizes can be compared
FILLED = {"kind": "models", "ns": "lab", "rev": "main", "branch": "main", "target": "main", "path": "README.md"}


def address(route: RawRoute, name: str) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: ({"name": name} | FILLED).get(part[1], "x"), route.pattern)


async def answer(browser: httpx2.AsyncClient, method: str, path: str, name: str) -> tuple[int, str, list[str]]:
    headers = {"x-request-id": "the-same", "content-type": "application/json"}
    got = await browser.request(method, path, headers=headers, content=b"{}" if method != "GET" else None)
    # `RateLimit` counts the caller's own calls, one after the other.
    told = sorted(f"{key}: {value}" for key, value in got.headers.items() if not key.startswith("ratelimit"))
    return got.status_code, got.text.replace(name, "NAME"), [line.replace(name, "NAME") for line in told]


@pytest.mark.parametrize("who", ["ada", "nobody"])
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
async def test_a_hidden_repository_is_answered_like_a_missing_one_everywhere(site: Site, who: str, accept: str) -> None:
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        for kind in RepoKind:
            await repos.create(session, kind, "lab", HIDDEN, by=by, private=True)
        key = site.gatekeeper.keys.tokens
        _, secret = await tokens.issue(session, site.people["ada"], label="x", role="write", key=key)
    headers = {"accept": accept} | ({"authorization": f"Bearer {secret}"} if who == "ada" else {})
    routes = [route for route in site.app._app.state.routes if "{ns}" in route.pattern and "{name}" in route.pattern]
    assert len(routes) > 40
    transport = httpx2.ASGITransport(app=site.app)
    async with httpx2.AsyncClient(transport=transport, base_url=URL, headers=headers) as browser:
        for route in routes:
            for method in route.methods:
                hidden = await answer(browser, method, address(route, HIDDEN), HIDDEN)
                missing = await answer(browser, method, address(route, MISSING), MISSING)
                assert hidden == missing, f"{method} {route.pattern}"
                assert hidden[0] >= 400, f"{method} {route.pattern}"


async def test_a_missing_repository_costs_about_as_much_as_a_hidden_one(site: Site) -> None:
    """In queries, which are what the time of an answer is made of, at every address."""
    async with site.gatekeeper.db.write() as session:
        by = await accounts.principals.for_person(session, site.people["grace"])
        await repos.create(session, RepoKind.MODEL, "lab", HIDDEN, by=by, private=True)
        key = site.gatekeeper.keys.tokens
        _, secret = await tokens.issue(session, site.people["ada"], label="x", role="write", key=key)
    asked: list[str] = []
    sa.event.listen(site.gatekeeper.db.engine.sync_engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    transport = httpx2.ASGITransport(app=site.app)
    headers = {"authorization": f"Bearer {secret}"}
    apart = {}
    async with httpx2.AsyncClient(transport=transport, base_url=URL, headers=headers) as browser:
        for route in site.app._app.state.routes:
            if not {"ns", "name"} <= set(route.names):
                continue
            for method in sorted(route.methods):
                costs = {}
                for name in (HIDDEN, MISSING, HIDDEN, MISSING):  # the first of each warms caches
                    asked.clear()
                    await answer(browser, method, address(route, name), name)
                    costs[name] = len(asked)
                if abs(costs[HIDDEN] - costs[MISSING]) > 2:
                    apart[f"{method} {route.pattern}"] = costs
                if method == "GET" and route.pattern == "/api/{kind:kind}/{ns}/{name}":
                    assert costs[MISSING] > 5
    assert apart == {}
