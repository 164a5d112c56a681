"""The one clock. Every instant in the database comes from here, never from the database's own now()."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)
