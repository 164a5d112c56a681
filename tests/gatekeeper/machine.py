"""What every walk through a state machine stands on: a database of its own, a loop, a clock that is moved by hand."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar

import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

from gatekeeper import schema
from gatekeeper.db import Database

T = TypeVar("T")


class Machine(RuleBasedStateMachine):
    """The base of a room's machine. `begin` is called by its first rule."""

    template: ClassVar[Path]  # a database that each walk begins with

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = time_machine.travel(datetime(2026, 3, 1, 9, tzinfo=UTC), tick=False)
        self.traveller = self.clock.start()
        self.loop = asyncio.new_event_loop()
        self.opened: Database | None = None

    @property
    def database(self) -> Database:
        """This walk's."""
        if self.opened is None:
            self.opened = schema.copy_template(self.template, Path(self.folder.name) / "machine.sqlite3")
        return self.opened

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for it."""
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        if self.opened is not None:
            self.run(self.opened.close())
        self.loop.close()
        self.clock.stop()
        self.folder.cleanup()


def walk(machine: type[Machine], template: Path, *, examples: int, steps: int) -> None:
    """Go so many ways through the machine, always the same ones."""
    machine.template = template
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    machine.TestCase().runTest()
