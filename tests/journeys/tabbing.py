"""The Tab key leads through a page: to all that can be used, in the order of the document, seen and marked, to the end.

The key is held down, as a person may hold it, so that a stop costs one message to the browser; what it came to is
written down in the page (tabbing.js). The header is the same everywhere and left to the journeys by keys.
"""

from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from tests.journeys.looking import UNFOLD

PHONE, DESK = ViewportSize(width=320, height=568), ViewportSize(width=1440, height=900)
_MOST_STOPS = 80
_BEGIN = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def faults(page: Page, size: ViewportSize) -> list[str]:
    """What is wrong with where the Tab key leads through the page, folded open."""
    before = page.viewport_size or DESK
    page.set_viewport_size(size)
    folds = page.evaluate_handle(UNFOLD)
    first, last = page.evaluate(_BEGIN, _MOST_STOPS)
    for _ in range(first):
        page.keyboard.down("Tab")
    if last:
        page.evaluate("tabbing.leap()")
    for _ in range(last):
        page.keyboard.down("Tab")
    page.keyboard.up("Tab")
    found: list[str] = page.evaluate("tabbing.end()")
    folds.evaluate("folds => { for (const each of folds) each.open = false }")
    page.set_viewport_size(before)
    return [f"{fault}, by Tab at {size['width']}" for fault in found]
