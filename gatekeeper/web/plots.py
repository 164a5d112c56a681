"""Plots as SVG, made here: bars with intervals, and a line where the truth is known. Each has its text alternative.

Text and lines take the color of the page around them; the only other color is the bars' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 640
_LABEL, _NUMBER, _ROW, _GAP, _HEAD = 170, 150, 20, 14, 26
_SPAN = WIDTH - _LABEL - _NUMBER


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
    is_file  it stands alone, so it brings a background and the sizes of its letters
    """
    told = ". ".join(f"{group.title}: {'; '.join(bar.text for bar in group.bars)}" for group in groups)
    parts, y = [], 8
    for group in groups:
        parts.append(f'<text x="0" y="{y + 15}" class="plot-title" font-weight="600">{escape(group.title)}</text>')
        y += _HEAD
        for bar in group.bars:
            parts.append(_bar(bar, y))
            y += _ROW
        y += _GAP
    ground = f'<rect width="{WIDTH}" height="{y}" fill="#fff" />' if is_file else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {WIDTH} {y}" role="img" '
        f'aria-labelledby="{id}-title {id}-desc" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="currentColor"><title id="{id}-title">{escape(title)}</title>'
        f'<desc id="{id}-desc">{escape(told)}</desc>{ground}{"".join(parts)}</svg>'
    )


def percent(share: float) -> str:
    """`12 %`, and `0.4 %` where that would be rounded away."""
    number = f"{100 * share:.0f}" if share >= 0.1 or share < 0.0005 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{number} %"


def _bar(bar: Bar, y: int) -> str:
    middle = y + _ROW / 2

    def at(share: float) -> str:
        return f"{_LABEL + share * _SPAN:.1f}"

    truth = ""
    if bar.truth is not None:
        x = at(bar.truth)
        truth = f'<line x1="{x}" x2="{x}" y1="{y}" y2="{y + _ROW}" stroke="#c2410c" stroke-width="3" />'
    return (
        f'<text x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{_LABEL}" y="{y + 3}" width="{bar.value * _SPAN:.1f}" height="{_ROW - 6}" fill="#5b9aa8" />'
        f'<path d="M{at(bar.low)} {middle}H{at(bar.high)}M{at(bar.low)} {y + 6}v8M{at(bar.high)} {y + 6}v8" '
        f'stroke="currentColor" fill="none" />{truth}'
        f'<text x="{_LABEL + _SPAN + 8}" y="{middle + 4}">{percent(bar.value)} '
        f"({percent(bar.low)} to {percent(bar.high)})</text>"
    )
