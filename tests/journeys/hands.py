"""How the pages of a journey are used: with nothing but keys, or without script. The steps are the same.

What is followed, pressed and filled in is told by a pattern of how its name or label begins.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from playwright.sync_api import Download, Locator, Page

from tests.journeys.looking import WIDTHS, fits, look

_MOST_STOPS = 120
_FOCUSED = """() => {
  const e = document.activeElement
  if (!e || e === document.body) return null
  const style = getComputedStyle(e), box = e.getBoundingClientRect()
  const name = e.labels?.length ? e.labels[0].innerText : e.getAttribute('aria-label') || e.innerText || ''
  return {
    name: name.trim().replace(/\\s+/g, ' '),
    kind: e.type || e.getAttribute('role') || e.tagName.toLowerCase(),
    in_form: !!e.closest('main form'),
    is_visible: box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight && box.right > 0,
    is_marked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    place: [...document.querySelectorAll('*')].indexOf(e),
  }
}"""


@dataclass(frozen=True)
class Stop:
    """What has the focus."""

    name: str
    kind: str
    in_form: bool
    is_visible: bool
    is_marked: bool
    place: int


class Keys:
    """With nothing but keys."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, page: Page) -> None:
        self.page = page

    def follow(self, name: str) -> None:
        """A link or a button that leads to another page."""
        with self.page.expect_navigation():
            self._press(name)

    def open(self, name: str) -> None:
        """What is folded away here."""
        self._press(name)

    def download(self, name: str) -> Download:
        """What a link leads to."""
        with self.page.expect_download() as saved:
            self._press(name)
        return saved.value

    def write(self, label: str, text: str) -> None:
        """Into a field."""
        self._reach(label)
        self.page.keyboard.type(text)

    def choose(self, label: str) -> None:
        """What a list offers first, after what says that nothing is chosen."""
        self._reach(label)
        self.page.keyboard.press("ArrowDown")

    def tick(self, label: str) -> None:
        """A box."""
        self._reach(label)
        self.page.keyboard.press("Space")

    def attach(self, label: str, path: Path) -> None:
        """A file."""
        with self.page.expect_file_chooser() as chooser:
            self._press(label)
        chooser.value.set_files(path)

    def look(self) -> None:
        """See that the page fits and reads."""
        look(self.page)

    def _reach(self, name: str) -> None:
        next(stop for stop in stops(self.page) if re.match(name, stop.name))

    def _press(self, name: str) -> None:
        self._reach(name)
        self.page.keyboard.press("Enter")


class Plain(Keys):
    """By pointer, where no script may run."""

    options: ClassVar[dict[str, Any]] = {"java_script_enabled": False}

    def open(self, name: str) -> None:
        self._first("summary", name).click()

    def write(self, label: str, text: str) -> None:
        self._field(label).fill(text)

    def choose(self, label: str) -> None:
        self._field(label).select_option(index=1)

    def tick(self, label: str) -> None:
        self._field(label).check()

    def attach(self, label: str, path: Path) -> None:
        self._field(label).set_input_files(path)

    def look(self) -> None:
        assert not [fault for width in WIDTHS for fault in fits(self.page, width)]

    def _press(self, name: str) -> None:
        self._first("a, button", name).click()

    def _first(self, selector: str, name: str) -> Locator:
        named = re.compile(rf"^\s*{name}")
        return self.page.locator("main").locator(selector).filter(has_text=named, visible=True).first

    def _field(self, label: str) -> Locator:
        named = self.page.get_by_label(re.compile(rf"^\s*{label}"))
        return named.and_(self.page.locator("input, select, textarea")).filter(visible=True).first


def stops(page: Page) -> Iterator[Stop]:
    """Where the Tab key leads from here on: to what is seen, marked, and further down the page than what was before."""
    before = -1
    for _ in range(_MOST_STOPS):
        page.keyboard.press("Tab")
        stop = focused(page)
        assert stop.is_visible, f"the focus is on what nobody sees: {stop}"
        if stop.kind == "date" and stop.place == before:
            continue  # day, month, year and the calendar have a stop each, which the browser marks
        assert stop.is_marked, f"nothing shows the focus: {stop}"
        assert stop.place > before, f"the focus goes back up the page: {stop}"
        before = stop.place
        yield stop
    raise AssertionError("the Tab key leads nowhere near")


def focused(page: Page) -> Stop:
    """What has the focus."""
    found: dict[str, Any] | None = page.evaluate(_FOCUSED)
    assert found is not None, "nothing has the focus"
    return Stop(**found)
