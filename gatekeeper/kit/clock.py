"""The one clock, and instants in words. Every instant in the database comes from here, never from its own now()."""

from datetime import UTC, date, datetime, timedelta


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def instant_of(text: str) -> datetime:
    """The instant that somebody wrote down: day and time, in UTC unless an offset says otherwise.

    Raises ValueError for anything else, such as a day without a time.
    """
    found = datetime.fromisoformat(text.strip())
    if "T" not in text.upper() and " " not in text.strip():
        raise ValueError(f"{text[:40]!r} has no time of day")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def last_moment(end: datetime) -> datetime:
    """The last instant before `end`. Its day is the one to name: what ends at midnight lasted the whole day before."""
    return end - timedelta(microseconds=1)


def instant_words(instant: datetime) -> str:
    """`22 Nov 2026, 13:18 UTC`."""
    return f"{day_words(instant)}, {instant.astimezone(UTC):%H:%M} UTC"


def day_words(instant: datetime) -> str:
    """`22 Nov 2026`."""
    return date_words(instant.astimezone(UTC))


def date_words(day: date | str) -> str:
    """The same of a day that is in no zone; as text it is like `2026-11-22`."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    return f"{day.day} {day:%b %Y}"
