"""One order on its way through the worker: what it asked, what became of it, and that it ends exactly once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from inference.contract import (
    CheckFacts,
    Done,
    ErrorCode,
    Event,
    Failed,
    Image,
    ImageOrder,
    Progress,
    Refused,
    Scheduler,
    SldLevel,
    Withheld,
)
from inference.fleet import Model
from inference.safety.prompts import RuleSet

_PARTS = 10  # of the way that are told of
_REPORT_SECONDS = 0.25


@dataclass(frozen=True)
class Request:
    """An order with its defaults filled in from the model.

    scheduler  None: the model's own, which has no name here
    """

    order: ImageOrder
    model: Model
    rules: RuleSet
    width: int
    height: int
    scheduler: Scheduler | None
    prompt_checks: tuple[CheckFacts, ...] = ()

    @property
    def rows_per_image(self) -> int:
        """Denoiser rows of one image: the prompt's, with guidance the negative prompt's, with SLD the concept's, and
        with both that of no text at all."""
        if self.order.guidance_scale <= 1:
            return 1
        if self.order.safety.sld_level is SldLevel.OFF:
            return 2
        return 4 if self.order.negative_prompt else 3

    def seed(self, index: int) -> int:
        """Seed of the image at `index`, so that each can be made again alone."""
        return self.order.seed + index


class Ticket:
    """A request, its outcomes so far, and the way to tell the one who ordered. Safe to use from any thread.

    emit  receives every event, in order, none after a terminal one
    """

    def __init__(self, request: Request, emit: Callable[[Event], None]) -> None:
        self.request = request
        self.order = request.order
        self._emit = emit
        self._lock = threading.Lock()
        self._ended = False
        self._delivered = 0
        self._withheld = 0
        self._step = -1
        self._told_at = 0.0
        self._compute_seconds = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be done for it: completed, failed or cancelled."""
        return self._ended

    @property
    def is_late(self) -> bool:
        """Whether its deadline has passed."""
        return datetime.now(UTC) >= self.order.deadline_at

    def tell(self, event: Event) -> None:
        """Send an event that does not end the order."""
        with self._lock:
            if not self._ended:
                self._emit(event)

    def step(self, done: int, steps: int) -> None:
        """Report progress, if it is any: each tenth of the way, and what comes a while after the last report.

        Telling every step of a fast model costs a noticeable part of the step.
        """
        with self._lock:
            if done <= self._step or self._ended:
                return
            at = time.monotonic()
            if done * _PARTS // steps > self._step * _PARTS // steps or at >= self._told_at + _REPORT_SECONDS:
                self._step, self._told_at = done, at
                self._emit(Progress(step=done, steps=steps))

    def charge(self, seconds: float) -> None:
        """Add to the compute time that the order used."""
        with self._lock:
            self._compute_seconds += seconds

    def settle(self, outcome: Image | Withheld) -> None:
        """Send one image's outcome; the last one completes the order."""
        with self._lock:
            if self._ended:
                return
            self._emit(outcome)
            match outcome:
                case Image():
                    self._delivered += 1
                case Withheld():
                    self._withheld += 1
            if self._delivered + self._withheld == self.order.images:
                self._ended = True
                self._emit(
                    Done(
                        delivered=self._delivered,
                        withheld=self._withheld,
                        compute_seconds=round(self._compute_seconds, 6),
                    )
                )

    def end(self, event: Refused | Failed) -> bool:
        """End the order. False when it had ended already."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
            self._emit(event)
            return True

    def fail(self, code: ErrorCode, message: str) -> bool:
        """End the order with an error."""
        return self.end(Failed(code=code, message=message, compute_seconds=round(self._compute_seconds, 6)))

    def expire(self) -> bool:
        """End the order if its deadline has passed."""
        return self.is_late and self.fail(ErrorCode.DEADLINE_PASSED, "The order's deadline passed before it was done.")
