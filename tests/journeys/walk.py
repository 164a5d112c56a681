"""A walk over the pages that a person comes to by links: one page of each kind, wherever it is linked from."""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from playwright.sync_api import Error, Page

from gatekeeper.app import routes
from gatekeeper.cli.demo import NAME, NAMESPACE
from gatekeeper.web.routing import RawRoute
from tests.journeys.kinds import ORGANIZER

_PAGES = [
    route for route in routes() if "GET" in route.methods and not route.pattern.startswith(("/static/", "/downloads/"))
]
# Literal addresses come before those that begin with a capture, as in the router.
_PAGES.sort(key=lambda route: route.pattern.startswith("/{"))
MODEL = f"/{NAMESPACE}/{NAME}"


@dataclass(frozen=True)
class Way:
    """How somebody walks.

    starts  where from
    least   how many kinds of pages they come to: fewer would mean that links were lost
    spared  kinds of pages left to others, as a pattern of patterns
    """

    starts: tuple[str, ...]
    least: int
    spared: str = ""


_AS_MODELS = r"/(datasets|spaces)/\{ns}.*"  # the same pages as a model's: one walker looks at them
_FOR_ALL = r"/(docs|transparency|verify)"  # the same to everybody: looked at without signing in
WALKS: dict[str | None, Way] = {
    None: Way(("/", MODEL, "/login", "/_styleguide"), 24, _AS_MODELS),
    "ada": Way(("/", MODEL, "/settings"), 47, f"{_AS_MODELS}|{_FOR_ALL}"),
    "maintainer": Way(("/", MODEL, "/settings", "/admin"), 75, _FOR_ALL),
    ORGANIZER: Way(("/admin",), 17, r"(?!/admin).*"),
}
_NO_PAGES = ("/api/", "/openapi.json", "/metrics", "/cas/", "/v1/", "/.well-known/", "/oauth/jwks", "/login/with/")
_SETTLE = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))"


def route_of(path: str) -> RawRoute | None:
    """The route that answers `path`."""
    raw = path.encode()
    return next((route for route in _PAGES if route.regex.match(raw)), None)


def walk(page: Page, way: Way, *more: str, person: str | None) -> Iterator[tuple[str, str]]:
    """Open all that it starts from and one page of each kind that links lead to; each stays open while its
    (pattern, path) is handled.

    person  as whom the page is signed in: only nobody is sent to the way in
    """
    starts = (*way.starts, *more)
    waiting, wanted, seen = deque(starts), set(starts), set[str]()
    while waiting:
        path = waiting.popleft()
        route = route_of(urlsplit(path).path)
        if route is None or re.fullmatch(way.spared, route.pattern) or (route.pattern in seen and path not in wanted):
            continue
        wanted.discard(path)
        seen.add(route.pattern)
        try:
            answer = page.goto(path)
        except Error as error:
            if "Download is starting" in str(error):
                continue
            raise
        if answer is None or "text/html" not in answer.headers.get("content-type", ""):
            continue
        if answer.status == 401 and person is None:
            continue  # the way in, which is a page of its own
        assert answer.status < 400, f"a link leads to {path}: {answer.status}"
        page.evaluate(_SETTLE)
        yield route.pattern, path
        waiting.extend(_links(page))


def report(page: Page, model: str = MODEL) -> None:
    """Report a problem with the model, so that there is an incident to look at."""
    page.goto(f"{model}/report")
    page.get_by_label("What is wrong").select_option("wrong")
    page.get_by_label("In your words").fill("Its card says that it draws pears. It draws apples.")
    page.locator("main form button.button-main").click()
    page.get_by_text("Thank you").wait_for()


def _links(page: Page) -> list[str]:
    """Where the page's links lead on this hub, downloads left out."""
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('a[href]:not([download])')]"
        ".filter(a => a.origin === location.origin).map(a => a.pathname + a.search)"
    )
    return [path for path in found if not path.startswith(_NO_PAGES) and "/resolve/" not in path]
