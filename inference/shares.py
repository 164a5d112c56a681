"""Who is served next within the engine, at every step: light users first, and everybody else by fair shares.

Each person has a credit of compute time. While it lasts, one who has a single order in hand goes before all others, so
an order that is small beside the credit never waits for large ones, nor for many. The credit fills again while nothing
of theirs is in the making. Without it the shares are equal by weight: each person has a clock that runs while the
machine works for them, slower for a greater weight, and the lowest clock is served next; the system's own clock, at
which newcomers begin, advances by what each one's share would have been, so that pauses cannot be saved up.

Sources: Demers, Keshav and Shenker 1989 (fair queueing by virtual time); the credit is a token bucket in front of it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

CREDIT_SECONDS = 10.0
REFILL_SHARE = 0.25  # of the time that passes: who uses less than this of the machine is always light


@dataclass
class _Person:
    weight: float
    clock: float
    credit: float
    left_at: float | None = None  # None: something of theirs is in the making


class Shares:
    """What each person has had of the machine. Used from the engine's thread only.

    clock  real time in seconds
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, credit_seconds: float = CREDIT_SECONDS) -> None:
        self._clock = clock
        self._most = credit_seconds
        self._now = 0.0
        self._persons: dict[str, _Person] = {}

    def __contains__(self, name: str) -> bool:
        """Whether anything is known of this person."""
        return name in self._persons

    def enter(self, name: str, weight: float) -> None:
        """An order of this person begins."""
        person = self._persons.setdefault(name, _Person(weight, self._now, self._most))
        person.weight = weight
        person.clock = max(person.clock, self._now)
        if person.left_at is not None:
            away = self._clock() - person.left_at
            person.credit = min(self._most, max(person.credit, 0.0) + away * REFILL_SHARE)
            person.left_at = None

    def leave(self, name: str) -> None:
        """Nothing of this person is in the making any more."""
        instant = self._clock()
        self._persons[name].left_at = instant
        forgotten = self._most / REFILL_SHARE  # after which they are as good as new
        self._persons = {
            key: person
            for key, person in self._persons.items()
            if person.left_at is None or person.clock > self._now or instant - person.left_at < forgotten
        }

    def charge(self, name: str, seconds: float) -> None:
        """The machine worked so long for this person."""
        person = self._persons[name]
        person.credit -= seconds / person.weight
        person.clock += seconds / person.weight
        self._now += seconds / sum(each.weight for each in self._persons.values() if each.left_at is None)

    def turn(self, name: str, *, orders: int) -> tuple[bool, float]:
        """Sorts whose turn it is, by what they have in hand: the lowest goes first."""
        person = self._persons[name]
        return orders > 1 or person.credit <= 0, person.clock
