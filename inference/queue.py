"""The waiting line: fair between persons, bounded, and open about each order's place.

Start-time fair queueing (Goyal, Vin and Chen 1996): an order's tag is the later of the line's own time and the
person's last finish, and its finish is the tag plus its cost over the order's weight. Whoever ordered little is served
before the second order of whoever ordered much, however many that one sent first; equal tags keep the order of arrival.
Background orders stand behind all others, whenever these arrive.
"""

import threading
from bisect import insort
from collections import Counter
from collections.abc import Set
from datetime import UTC, datetime
from itertools import count

from inference.contract import ErrorCode, Queued
from inference.ticket import Ticket

PLACES_SHOWN = 100  # only so many at the front hear of every change of place; those behind heard their first


class QueueFull(Exception):
    """The line, or the person's share of it, is full."""

    code = ErrorCode.QUEUE_FULL


class FairQueue:
    """Tickets waiting for a lane. Safe to use from any thread."""

    def __init__(self, *, waiting_orders: int, waiting_per_person: int) -> None:
        self._waiting_orders = waiting_orders
        self._waiting_per_person = waiting_per_person
        self._line: list[tuple[bool, float, int, Ticket]] = []
        self._finishes: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._now = 0.0
        self._arrivals = count()
        self._condition = threading.Condition()

    def __len__(self) -> int:
        return len(self._line)

    def put(self, ticket: Ticket) -> None:
        """Line up and tell the ticket its place. Raises QueueFull."""
        person = ticket.order.person_key
        with self._condition:
            self._drop_ended()
            if len(self._line) >= self._waiting_orders:
                raise QueueFull("Too many orders are waiting; try again later.")
            if self._counts[person] >= self._waiting_per_person:
                raise QueueFull("Too many of your orders are waiting; wait for one of them to finish.")
            tag = max(self._now, self._finishes.get(person, 0.0))
            self._finishes[person] = tag + cost(ticket) / ticket.order.weight
            entry = (ticket.order.is_background, tag, next(self._arrivals), ticket)
            insort(self._line, entry)
            self._counts[person] += 1
            ticket.tell(Queued(place=self._line.index(entry) + 1))
            self._condition.notify_all()

    def peek(self, *, passing_over: Set[str] = frozenset()) -> Ticket | None:
        """Who is next, if anyone, but none of these persons; orders that ended while waiting are gone from the line."""
        with self._condition:
            self._drop_ended()
            return next((t for *_, t in self._line if t.order.person_key not in passing_over), None)

    def waiting(self) -> list[Ticket]:
        """All who wait, next one first."""
        with self._condition:
            self._drop_ended()
            return [ticket for *_, ticket in self._line]

    def take(self, ticket: Ticket) -> None:
        """Remove one that is being served, and tell those behind it their new place."""
        with self._condition:
            for index, (_, tag, _, other) in enumerate(self._line):
                if other is ticket:
                    self._now = max(self._now, tag)
                    del self._line[index]
                    self._forget(other)
                    break
            if not self._line:
                self._finishes.clear()
            for place, (*_, other) in enumerate(self._line[:PLACES_SHOWN], start=1):
                other.tell(Queued(place=place))

    def wait(self, seconds: float) -> None:
        """Sleep until somebody arrives, or `wake`, or `seconds` have passed."""
        with self._condition:
            if not self._line:
                self._condition.wait(seconds)

    def wake(self) -> None:
        """End a `wait`."""
        with self._condition:
            self._condition.notify_all()

    def count(self, person: str) -> int:
        """Orders of one person that wait."""
        return self._counts[person]

    def _drop_ended(self) -> None:
        instant = datetime.now(UTC)
        gone = [ticket for *_, ticket in self._line if ticket.is_over or instant >= ticket.order.deadline_at]
        for ticket in gone:
            ticket.expire()
            self._forget(ticket)
        if gone:
            dropped = set(map(id, gone))
            self._line = [entry for entry in self._line if id(entry[-1]) not in dropped]

    def _forget(self, ticket: Ticket) -> None:
        person = ticket.order.person_key
        self._counts[person] -= 1
        if not self._counts[person]:
            del self._counts[person]


def cost(ticket: Ticket) -> float:
    """What an order takes of the machine, in denoised pixels."""
    order, request = ticket.order, ticket.request
    return float(order.images * order.steps * request.width * request.height)
