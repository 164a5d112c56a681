"""Every page that links lead to, for each kind of person: it fits, reads and keeps quiet, in all widths and themes."""

from collections.abc import Callable, Iterable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from gatekeeper.cli.demo import NAME, NAMESPACE
from tests.journeys.conftest import Demo
from tests.journeys.walk import report, walk

MODEL = f"/{NAMESPACE}/{NAME}"
WIDTHS = (320, 768, 1440)
# Where each begins, and how many kinds of pages they come to at least: fewer would mean that links were lost.
_WALKS = {
    None: (("/", MODEL, "/login", "/_styleguide"), 17),
    "ada": (("/", MODEL, "/settings"), 34),
    "maintainer": (("/", MODEL, "/settings", "/admin"), 53),
}
# In which theme and width axe looks: over the three, pages that several people see are looked at in all four.
_WIDE_AND_LIGHT = (("light", WIDTHS[-1]), ("dark", WIDTHS[0]))
_WIDE_AND_DARK = (("dark", WIDTHS[-1]), ("light", WIDTHS[0]))
_LOOKS = {None: _WIDE_AND_LIGHT, "ada": _WIDE_AND_DARK, "maintainer": _WIDE_AND_LIGHT}
_ONE_ROW = 64  # pixels of the header at most
_TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_UNPRINTED = """() => [...document.querySelectorAll('main table, main .legal, main .rows')]
    .filter(each => !each.checkVisibility() && !each.closest('.filters, details:not([open]), .for-wide, .for-narrow'))
    .map(each => each.outerHTML.slice(0, 80))"""
_AXE = {"resultTypes": ["violations"]}


@pytest.mark.parametrize("person", _WALKS)
def test_every_page_is_accessible_and_fits(demo: Demo, visit: Callable[..., Page], person: str | None) -> None:
    page = visit(person)
    page.emulate_media(reduced_motion="reduce")
    if person == "maintainer":
        report(page)
    complaints: list[tuple[str, str]] = []  # with the address they were made at: files are passed by, too

    def complain(text: str) -> None:
        complaints.append((page.url, text))

    page.on("console", lambda said: complain(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complain(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith((demo.url, "data:")) else complain(sent.url))
    faults: list[str] = []
    (starts, least), seen = _WALKS[person], 0
    for pattern, path in walk(page, *starts, *(() if person else _reports(page))):
        seen += 1
        faults += [f"{path}: {text}" for url, text in complaints if url == page.url]
        complaints.clear()
        faults += [f"{path}: {fault}" for fault in _faults(page, _LOOKS[person])]
        print(pattern, path)
    assert not faults, "\n".join(faults)
    assert seen >= least


def _reports(page: Page) -> list[str]:
    """A bias report beside the one that contests it, and a safety report: two pages at one kind of address."""
    listed = page.request.get(f"/api/models{MODEL}/evaluations").json()["evaluations"]
    *_, safety, counter, first = (f"{MODEL}/evaluations/{each['id']}" for each in listed)
    return [f"{first}?against={counter.rpartition('/')[2]}&adjective=&adjective=angry", safety]


def _faults(page: Page, looks: Iterable[tuple[str, int]]) -> list[str]:
    faults = []
    if page.locator("h1").count() != 1:
        faults.append(f"{page.locator('h1').count()} main headings")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if (over := page.evaluate(_TOO_WIDE)) > 0:
            faults.append(f"{over} px too wide at {width}")
        if (tall := page.locator(".site-header").bounding_box()["height"]) > _ONE_ROW:  # type: ignore[index]
            faults.append(f"the header is {tall} px high at {width}")
    page.emulate_media(media="print")
    faults += [f"not printed: {each}" for each in page.evaluate(_UNPRINTED)]
    page.emulate_media(media="screen")
    for theme, width in looks:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        for violation in Axe().run(page, options=_AXE).response["violations"]:
            where = ", ".join(str(node["target"]) for node in violation["nodes"][:3])
            faults.append(f"{violation['id']} in the {theme} at {width}: {where}")
    return faults
