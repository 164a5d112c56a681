"""What differs between the worker and its fake."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.desk import Lane
from inference.fleet import Builder
from inference.looking import ImageReader
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.room import Room
from inference.settings import Settings


@dataclass(frozen=True)
class Workshop:
    """Who builds models, who makes images, and on what machine.

    lanes    by `ModelState.engine`
    readers  by digest
    checkers_sha256  of the models' own checks, all that are trusted
    """

    build: Builder
    lanes: dict[str, Lane]
    release: Release
    runtime: Runtime
    dtype: str
    threads: int
    room: Room
    readers: Mapping[str, ImageReader] = field(default_factory=dict)
    checkers_sha256: str = "0" * 64


def new_queue(settings: Settings) -> FairQueue:
    """A waiting line with the limits of the settings."""
    limits = settings.limits
    return FairQueue(waiting_orders=limits.waiting_orders, waiting_per_person=limits.waiting_per_person)
