from datetime import UTC, datetime

import pytest

from gatekeeper.kit.clock import instant_of


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2027-03-28T12:00", 12),
        (" 2027-03-28 12:00:00 ", 12),
        ("2027-03-28T12:00Z", 12),
        ("2027-03-28T01:30+01:00", 0),  # the night in which clocks there go forward: the offset says which half
        ("2027-03-28T03:30+02:00", 1),
    ],
)
def test_an_instant_is_utc_unless_an_offset_says_otherwise(text: str, hour: int) -> None:
    found = instant_of(text)
    assert (found.tzinfo, found.hour, found.date()) == (UTC, hour, datetime(2027, 3, 28).date())


@pytest.mark.parametrize(
    "text", ["", "soon", "2027-03-28", "20270328", "2027-W05", "12:00", "2027-02-30T12:00", "T", "\0"]
)
def test_what_is_no_day_with_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        instant_of(text)
