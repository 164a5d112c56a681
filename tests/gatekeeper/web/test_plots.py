"""Plots: what does not fit beside each other stands on lines of its own."""

import re

from gatekeeper.web.plots import Bar, Group, bars


def test_a_long_label_stands_above_its_numbers_and_a_short_one_beside_them() -> None:
    plot = bars(
        "id", "Shares", [Group("of", [Bar("man", 0.5, 0.4, 0.6), Bar("4: person 43 %, medium-light 24 %", 1, 0, 1)])]
    )

    lines = [int(y) for y in re.findall(r'<text x="\d+" y="(\d+)"', plot)]
    title, short, numbers, long, below = lines
    assert title < short == numbers < long < below
    height = re.search(r'viewBox="0 0 360 (\d+)"', plot)
    assert height is not None
    assert below < int(height[1])
