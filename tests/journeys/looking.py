"""How a page is looked at: it fits and prints, and axe finds nothing, folded open, in all widths and both themes."""

import json
import os
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Response

WIDTHS = (320, 768, 1440)
HEIGHT = 900
PAPER = 718  # A4 between its margins
# Each page that was looked at: its address, who saw it, and its HTML as it was sent, before any script. test_whole.py
# judges them together; where several workers shared the tests, each leaves there what it saw.
SENT: list[tuple[str, str, str]] = []
LEFT = Path(__file__).parents[2] / ".out" / "looked-at"

_ANSWERS: WeakKeyDictionary[Page, Response] = WeakKeyDictionary()
_RUN = """options => axe.run({resultTypes: ['violations'], ...options}).then(found =>
    found.violations.map(each => `${each.id}: ${each.nodes.slice(0, 3).map(node => node.target).join(', ')}`))"""
# What depends on the theme or the width; the other rules hold once and for all.
_CHANGING = {"runOnly": ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]}
_ALL: dict[str, object] = {"rules": {"target-size": {"enabled": True}}}
_CORNERS: tuple[tuple[Any, int, dict[str, Any]], ...] = (
    ("light", WIDTHS[0], _CHANGING),
    ("light", WIDTHS[-1], _ALL),
    ("dark", WIDTHS[-1], _CHANGING),
    ("dark", WIDTHS[0], _ALL),
)
_ONE_ROW = 64  # pixels of the header at most
_LAID_OUT = """() => ({
    over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    header: document.querySelector('.site-header').offsetHeight,
})"""
_UNPRINTED = """() => [...document.querySelectorAll('main table, main .legal, main .rows')]
    .filter(each => !each.checkVisibility() && !each.closest('.filters, details:not([open]), .for-wide, .for-narrow'))
    .map(each => each.outerHTML.slice(0, 80))"""
_CUT_OFF = """() => [...document.querySelectorAll('main *:not(.visually-hidden)')]
    .filter(each => each.clientWidth > 1 && each.scrollWidth > each.clientWidth + 1)
    .filter(each => getComputedStyle(each).overflowX !== 'visible')
    .map(each => each.outerHTML.slice(0, 80))"""
# All but menus, which would cover the page, and long differences of files, the first of which is open as it comes.
UNFOLD = """() => {
  const folds = [...document.querySelectorAll('main details:not([open], .menu, :has(.diff))')]
  for (const each of folds) each.open = true
  return folds
}"""


def follow(context: BrowserContext) -> BrowserContext:
    """Remember what its pages were sent."""

    def remember(answer: Response) -> None:
        if answer.request.is_navigation_request():
            _ANSWERS[answer.frame.page] = answer

    context.on("response", remember)
    return context


def leave() -> None:
    """Keep what this process saw for one that comes after it."""
    LEFT.mkdir(parents=True, exist_ok=True)
    (LEFT / f"{os.getpid()}.json").write_text(json.dumps(SENT))


def look(page: Page, person: str | None = None) -> None:
    """Look at the page where a journey stands, and leave it as it was."""
    found = faults(page, person)
    assert not found, "\n".join([page.url, *found])


def faults(page: Page, person: str | None = None) -> list[str]:
    """What is wrong with how the page looks."""
    SENT.append((page.url, person or "nobody", _ANSWERS[page].text()))
    before = page.viewport_size or {"width": WIDTHS[-1], "height": HEIGHT}
    page.evaluate(Axe().axe_script)
    found = [] if page.locator("h1").count() == 1 else [f"{page.locator('h1').count()} main headings"]
    for width in WIDTHS:
        found += fits(page, width)
    page.emulate_media(media="print")
    found += [f"not printed: {each}" for each in page.evaluate(_UNPRINTED)]
    page.set_viewport_size({"width": PAPER, "height": HEIGHT})
    found += [f"cut off in print: {each}" for each in page.evaluate(_CUT_OFF)]
    page.emulate_media(media="screen")
    folds = page.evaluate_handle(UNFOLD)
    found += [f"{fault}, folded open" for fault in fits(page, WIDTHS[0])]
    for theme, width, options in _CORNERS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme=theme)
        found += [f"{fault}, in the {theme} at {width}" for fault in page.evaluate(_RUN, options)]
    folds.evaluate("folds => { for (const each of folds) each.open = false }")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(before)
    return found


def fits(page: Page, width: int) -> list[str]:
    """What lies beyond the edge at a width, and whether the header is one row."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    laid_out = page.evaluate(_LAID_OUT)
    found = [f"{laid_out['over']} px too wide at {width}"] if laid_out["over"] > 0 else []
    if laid_out["header"] > _ONE_ROW:
        found.append(f"the header is {laid_out['header']} px high at {width}")
    return found
