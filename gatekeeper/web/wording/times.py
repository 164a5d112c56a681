"""Instants as pages show them: in UTC, and by script in the zone of whoever reads."""

from datetime import UTC, datetime, time

from markupsafe import Markup

from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import day_words, instant_words, last_moment


def instant_tag(instant: datetime) -> Markup:
    """`22 Nov 2026, 13:18 UTC`, to be put into a sentence with `Markup.format`."""
    return Markup('<time datetime="{}">{}</time>').format(instant_text(instant), instant_words(instant))


def day_tag(instant: datetime) -> Markup:
    """`22 Nov 2026`, in the same way."""
    return Markup('<time datetime="{}" data-day>{}</time>').format(instant_text(instant), day_words(instant))


def end_tag(end: datetime) -> Markup:
    """When something ends: its last day where that is a whole one, as people choose it, else the instant."""
    is_whole = end.astimezone(UTC).time() == time.min
    return day_tag(last_moment(end)) if is_whole else instant_tag(end)
