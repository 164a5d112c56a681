"""Figures as people read them."""

import pytest

from gatekeeper.kit.figures import duration_text, plural, size_text, span_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.04, "40 ms"), (0.0996, "0.1 s"), (0.757, "0.8 s"), (3.0, "3 s"), (9.96, "10 s"), (59.4, "59 s"),
        (59.6, "1 min"), (90, "1 min 30 s"), (3_599.7, "1 h"), (5_400, "1 h 30 min"), (86_400, "24 h"),
        (172_799, "2 days"), (190_000, "2 days 5 h"),
    ],
)  # fmt: skip
def test_what_was_measured_has_at_most_two_parts(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_what_was_chosen_is_whole_in_its_unit() -> None:
    days = [span_text(each * 86_400) for each in (1, 7, 90, 365, 3_650)]
    assert days == ["24 hours", "7 days", "90 days", "1 year", "10 years"]
    assert [span_text(each) for each in (0, 1, 45, 60, 1_800, 3_600)] == [
        "0 seconds", "1 second", "45 seconds", "1 minute", "30 minutes", "1 hour",
    ]  # fmt: skip


def test_counts_and_sizes_have_units_and_their_thousands_apart() -> None:
    assert [plural(each, "request") for each in (0, 1, 1_500)] == ["0 requests", "1 request", "1,500 requests"]
    assert plural(2, "person", "people") == "2 people"
    assert [size_text(each) for each in (18, 3_400, 29_000_000)] == ["18 B", "3.4 kB", "29 MB"]
