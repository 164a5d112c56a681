"""The one clock. Every instant in the database comes from here, never from the database's own now()."""

from datetime import UTC, datetime


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
