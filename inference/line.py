"""Images that wait to be decoded and checked, and whose turn it is: fair between persons, as the engine is.

Finished images go before looks at unfinished ones, and background orders behind all others; what nobody waits for any
more goes first, for it takes no time. Else `Shares` decides,
with an account of its own: what checking takes is another thing than what denoising takes. An image's looks stay
before it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.shares import Shares
from inference.ticket import Ticket

MOST_LOOKS = 4  # where so much of a person waits already, further looks are left out

FloatImage = npt.NDArray[np.float32]  # (3, height, width), values in about [0, 1] if all went well


@dataclass(frozen=True, eq=False)
class Making:
    """One image that was made and not yet checked.

    pixels     computes (3, height, width) float values in about [0, 1]; called in the release thread
    bucket     rows per denoiser call; None outside the step engine
    scheduler  name for the receipt
    look       steps after which this is a look at an unfinished image; None: it is finished
    decoding   who is decoded in one call with it, itself among them: they share what it costs
    sld_acted  False where nothing can steer, whatever the order says
    """

    ticket: Ticket
    index: int
    pixels: Callable[[], FloatImage]
    bucket: int | None
    scheduler: str
    dtype: str
    look: int | None = None
    decoding: tuple[Ticket, ...] = ()
    sld_acted: bool = True
    sld_effect: float | None = None


class Line:
    """What waits. Safe to use from any thread; only one takes.

    clock  real time in seconds
    """

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._shares = Shares(clock=clock)
        self._waiting: list[Making] = []
        self._lock = threading.Lock()

    def put(self, making: Making) -> bool:
        """Line up. False for a look that is left out, because the line is long."""
        order = making.ticket.order
        with self._lock:
            if making.look is not None and self._count(order.person_key) >= MOST_LOOKS:
                return False
            self._shares.enter(order.person_key, order.weight)
            self._waiting.append(making)
            return True

    def take(self) -> Making:
        """The next. There must be one; `served` must follow."""
        with self._lock:
            if (gone := next(filter(_is_gone, self._waiting), None)) is not None:
                self._waiting.remove(gone)
                return gone
            finished = {(id(each.ticket), each.index) for each in self._waiting if each.look is None}
            orders: dict[str, set[int]] = {}
            for each in self._waiting:
                orders.setdefault(_person(each), set()).add(id(each.ticket))
            turns = {person: self._shares.turn(person, orders=len(those)) for person, those in orders.items()}

            def place(making: Making) -> tuple[bool, bool, tuple[bool, float]]:
                is_finished = (id(making.ticket), making.index) in finished
                return making.ticket.order.is_background, not is_finished, turns[_person(making)]

            making = min(self._waiting, key=place)
            self._waiting.remove(making)
            return making

    def charge(self, tickets: Sequence[Ticket], seconds: float) -> None:
        """The machine worked so long for all of these; who has not lined up yet does not pay."""
        with self._lock:
            persons = [ticket.order.person_key for ticket in tickets if ticket.order.person_key in self._shares]
            for person in persons:
                self._shares.charge(person, seconds / len(persons))

    def served(self, making: Making) -> None:
        """Nothing more is done for it."""
        with self._lock:
            if _person(making) in self._shares and not self._count(_person(making)):
                self._shares.leave(_person(making))

    def _count(self, person: str) -> int:
        return sum(_person(making) == person and not _is_gone(making) for making in self._waiting)


def _is_gone(making: Making) -> bool:
    return making.ticket.is_over or making.ticket.is_late


def _person(making: Making) -> str:
    return making.ticket.order.person_key
