"""Plots as SVG, made here: bars with intervals, and a line where the truth is known. Each has its text alternative.

The page's stylesheet colors them; a plot that stands alone in a file brings its own colors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 360  # so that letters stay legible where a page is 320 pixels wide
_ROW, _BAR, _GAP, _HEAD = 32, 9, 14, 24
_FILE_STYLE = ".share{fill:#5b9aa8}.whole{fill:#5b9aa8;opacity:.15}.truth{stroke:#c2410c}.ground{fill:#fff}"
_LINE, _MOST_CHARS = 16, 42  # more than so many do not fit beside each other


@dataclass(frozen=True)
class Bar:
    """A share from 0 to 1 with its interval, and the truth where it is known."""

    label: str
    value: float
    low: float
    high: float
    truth: float | None = None

    @property
    def text(self) -> str:
        """The bar in words."""
        known = "" if self.truth is None else f", trained {percent(self.truth)}"
        return f"{self.label} {percent(self.value)} ({percent(self.low)} to {percent(self.high)}{known})"


@dataclass(frozen=True)
class Group:
    """Bars that belong together."""

    title: str
    bars: Sequence[Bar]


def bars(id: str, title: str, groups: Sequence[Group], *, is_file: bool = False) -> str:
    """A plot of groups of bars, one below the other.

    id       unique on the page
    is_file  it stands alone, so it brings a size and a background
    """
    told = ". ".join(f"{group.title}: {'; '.join(bar.text for bar in group.bars)}" for group in groups)
    parts, y = [], 8
    for group in groups:
        parts.append(f'<text x="0" y="{y + 15}" font-weight="600">{escape(group.title)}</text>')
        y += _HEAD
        for bar in group.bars:
            y += 0 if _fits(bar) else _LINE
            parts.append(_bar(bar, y))
            y += _ROW
        y += _GAP
    size = f'width="{WIDTH * 1.5:g}" height="{y * 1.5:g}" ' if is_file else ""
    own = f'<style>{_FILE_STYLE}</style><rect class="ground" width="{WIDTH}" height="{y}" />' if is_file else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bars" viewBox="0 0 {WIDTH} {y}" {size}role="img" '
        f'aria-labelledby="{id}-title {id}-desc" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="currentColor"><title id="{id}-title">{escape(title)}</title>'
        f'<desc id="{id}-desc">{escape(told)}</desc>{own}{"".join(parts)}</svg>'
    )


def percent(share: float) -> str:
    """`12 %`, and `0.4 %` where that would be rounded away."""
    number = f"{100 * share:.0f}" if share >= 0.1 or share < 0.0005 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{number} %"


def _numbers(bar: Bar) -> str:
    return f"{percent(bar.value)} ({percent(bar.low)} to {percent(bar.high)})"


def _fits(bar: Bar) -> bool:
    """Whether the label has room beside the numbers; else it stands above them."""
    return len(bar.label) + len(_numbers(bar)) <= _MOST_CHARS


def _bar(bar: Bar, y: int) -> str:
    top, middle = y + 16, y + 16 + _BAR / 2

    def at(share: float) -> str:
        return f"{1 + share * (WIDTH - 2):.1f}"

    truth = ""
    if bar.truth is not None:
        x = at(bar.truth)
        truth = f'<line x1="{x}" x2="{x}" y1="{top - 3}" y2="{top + _BAR + 3}" class="truth" stroke-width="3" />'
    return (
        f'<text x="0" y="{y + (11 if _fits(bar) else 11 - _LINE)}">{escape(bar.label)}</text>'
        f'<text x="{WIDTH}" y="{y + 11}" text-anchor="end">{_numbers(bar)}</text>'
        f'<rect x="0" y="{top}" width="{WIDTH}" height="{_BAR}" class="whole" />'
        f'<rect x="0" y="{top}" width="{bar.value * WIDTH:.1f}" height="{_BAR}" class="share" />'
        f'<path d="M{at(bar.low)} {middle}H{at(bar.high)}M{at(bar.low)} {middle - 4}v8M{at(bar.high)} {middle - 4}v8" '
        f'stroke="currentColor" fill="none" />{truth}'
    )
