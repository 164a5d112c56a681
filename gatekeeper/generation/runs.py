"""What happened to an order so far, and waiting for more: kept in memory while it is made."""

import asyncio
import secrets
from bisect import bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from gatekeeper.generation.news import updates_of
from gatekeeper.generation.outcomes import Outcome
from gatekeeper.generation.tables import Generation, GenerationState
from inference.contract import (
    Done,
    ErrorCode,
    Event,
    Failed,
    Image,
    ModelState,
    Preview,
    Progress,
    Queued,
    Refused,
    Started,
    Withheld,
    WithheldCode,
)

_ENDS = frozenset({"refused", "failed", "done", "cancelled"})
_REPLACED = frozenset({"preview", "loading"})


class WorkerStopped(Exception):
    """The worker ended an order because it is being shut down, not because anybody asked."""


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that happened to an order: queued, loading, started, progress, preview, retrying, image, withheld,
    refused, failed, done, cancelled. The last four are ends.

    data  plain JSON
    id    by which a watcher who comes again says what it has seen
    """

    type: str
    data: dict[str, Any]
    id: str = ""

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self.type in _ENDS


@dataclass
class Run:
    """An order in the making. When another process takes it over, its updates begin anew, with other ids.

    was_left  another process began it
    flagged   what the check found in the last look at an image, by its index
    """

    name: str = field(default_factory=lambda: secrets.token_hex(4))
    task: "asyncio.Task[None] | None" = None
    was_left: bool = False
    is_cancelled: bool = False
    is_ending: bool = False  # its end is being recorded and must not be interrupted
    is_left: bool = False  # nothing more will be told here, though the order has not ended
    ended: Generation | None = None  # as it was recorded
    flagged: dict[int, Withheld] = field(default_factory=dict)
    _updates: list[tuple[int, Update]] = field(default_factory=list)  # with ascending numbers
    _told: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, type: str, data: dict[str, Any]) -> None:
        """Let everybody who watches know. A preview takes the place of the image's one before, and how far a model is
        loaded that of what was told of it before, so that memory stays small.
        """
        if type in _REPLACED:
            index = data.get("index")
            self._updates = [
                (number, update)
                for number, update in self._updates
                if update.type != type or update.data.get("index") != index
            ]
        self._add(Update(type, data, f"{self.name}-{self._told}"))

    def end(self, made: Generation) -> None:
        """Tell the end as it was recorded."""
        self.ended = made
        for update in recorded(made):
            self._add(update)

    def leave(self) -> None:
        """Send the watchers away."""
        self.is_left = True
        self._wake()

    def latest(self, *types: str) -> Update | None:
        """The last of these that was told."""
        return next((update for _, update in reversed(self._updates) if update.type in types), None)

    @property
    def has_begun(self) -> bool:
        """Whether by the last that was told the worker makes it or loads its model, and does not only let it wait."""
        match self._updates:
            case [*_, (_, Update(type="started" | "progress" | "preview"))]:
                return True
            case [*_, (_, Update(type="loading", data=progress))]:
                return bool(progress["bytes_total"])
            case _:
                return False

    async def follow(self, after: str = "") -> AsyncIterator[Update]:
        """Everything after the update with that id (from the beginning if it is not known), until the end."""
        seen = self._number(after)
        while True:
            changed = self._changed
            while (position := bisect_right(self._updates, seen, key=itemgetter(0))) < len(self._updates):
                seen, update = self._updates[position]
                yield update
                if update.is_end:
                    return
            if self.is_left:
                return
            await changed.wait()

    def note(self, outcome: Outcome, event: Event) -> None:
        """Take in what the worker says: news for those who watch, and what the order will have come to.

        Raises WorkerStopped.
        """
        match event:
            case Queued(place=place):
                self.tell("queued", {"place": place})
            case Started(steps=steps):
                self.tell("started", {"steps": steps})
            case Progress(step=step, steps=steps):
                self.tell("progress", {"step": step, "steps": steps})
            case Preview():
                self._look(event.index, event.withheld)
                if event.withheld is None:
                    self.tell("preview", {"index": event.index, "step": event.step, "png_base64": event.png_base64})
            case Image():
                self._look(event.index, None)
                outcome.images.append(event)
            case Withheld():
                self._look(event.index, event)
                outcome.withheld.append(event)
            case Refused():
                outcome.state, outcome.code, outcome.reason = GenerationState.REFUSED, event.code.value, event.reason
                outcome.rules = event.rule_ids
                outcome.restrictions = event.restrictions
                outcome.is_hard = event.is_hard
            case Failed(code=ErrorCode.CANCELLED) if not self.is_cancelled:
                raise WorkerStopped(event.message)
            case Failed():
                outcome.state, outcome.code, outcome.reason = GenerationState.FAILED, event.code.value, event.message
                outcome.compute_seconds = event.compute_seconds
            case Done():
                outcome.state, outcome.code, outcome.reason = GenerationState.DONE, "", ""
                outcome.compute_seconds = event.compute_seconds

    def loading(self, state: ModelState) -> None:
        """Tell how far the model is."""
        progress = {"bytes_verified": state.bytes_verified, "bytes_total": state.bytes_total}
        self.tell("loading", {"phase": state.phase.value, "message": state.message or "", **progress})

    def _look(self, index: int, withheld: Withheld | None) -> None:
        self.flagged.pop(index, None)
        if withheld is not None and withheld.code is WithheldCode.IMAGE_FLAGGED:
            self.flagged[index] = withheld

    def _number(self, after: str) -> int:
        """Of the update with that id, also where another has taken its place; -1 if it is not known."""
        name, _, number = after.rpartition("-")
        if name == self.name and number.isdecimal():
            return int(number)
        return next((number for number, update in self._updates if update.id == after), -1)

    def _add(self, update: Update) -> None:
        self._updates.append((self._told, update))
        self._told += 1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def recorded(made: Generation) -> list[Update]:
    """What the record says happened; its ids are the same whoever tells it, and whenever."""
    return [Update(type, data, f"end-{number}") for number, (type, data) in enumerate(updates_of(made))]
