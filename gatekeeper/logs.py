"""One line of JSON an event on stderr (key=value on a terminal). Callers pass facts, never bodies or secrets."""

import logging
import sys

import structlog
from structlog.typing import EventDict

from gatekeeper.kit.traces import place


def configure(*, level: int = logging.INFO) -> None:
    """Set up logging for a process. Libraries' own logs join at WARNING."""
    renderer = (
        structlog.dev.ConsoleRenderer(colors=True)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_message,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def _without_message(_logger: object, _method: str, event: EventDict) -> EventDict:
    """An error's kind and place instead of its text and traceback: those may hold what a person sent."""
    if event.pop("exc_info", None) and (error := sys.exc_info()[1]) is not None:
        event.update(error=type(error).__name__, at=place(error))
    return event
