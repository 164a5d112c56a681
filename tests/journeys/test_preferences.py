"""What people set for themselves keeps its meaning: the system's own colors, and text twice as large."""

from collections.abc import Callable

from playwright.sync_api import Locator, Page

from tests.journeys import tabbing
from tests.journeys.looking import fits
from tests.journeys.walk import MODEL

_COLOR_OF = "(each, [part, name]) => getComputedStyle(each, part)[name]"


def test_the_systems_own_colors_show_where_one_is_and_how_far_it_is(visit: Callable[..., Page]) -> None:
    page = visit("maintainer", forced_colors="active")
    page.goto(MODEL)
    current = color(page.locator(".tabs > ul a[aria-current]"), "borderBottomColor")
    others = {color(tab, "borderBottomColor") for tab in page.locator(".tabs > ul a:not([aria-current])").all()}
    assert current not in others
    assert not tabbing.faults(page, tabbing.DESK)

    page.goto("/_styleguide")
    dots = {
        color(page.locator(f".timeline .{state}").first, "backgroundColor", "::before") for state in ("past", "here")
    }
    assert len(dots) == 2


def test_text_twice_as_large_is_not_cut_off(visit: Callable[..., Page]) -> None:
    page = visit("maintainer")
    for path in (MODEL, f"{MODEL}/releases", "/admin/requests", "/settings/tokens"):
        page.goto(path)
        page.evaluate("document.documentElement.style.fontSize = '32px'")
        assert not [fault for fault in fits(page, 1440) if "wide" in fault]
        assert not [fault for fault in tabbing.faults(page, tabbing.DESK) if "cut" in fault or "lies under" in fault]


def color(element: Locator, name: str, part: str | None = None) -> str:
    """A color as it is shown."""
    found: str = element.evaluate(_COLOR_OF, [part, name])
    return found
