"""An order that kills the worker fails alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatekeeper.db import Database
from gatekeeper.generation import Generation, ImageFolder, supervisor
from gatekeeper.generation.client import WorkerLost
from inference.contract import Event, ImageOrder, LoadPhase, ModelManifest, ModelState, Queued, Started
from tests.gatekeeper.generation.stub import StubWorker, all_good
from tests.gatekeeper.generation.test_studio import Story, tell
from tests.gatekeeper.licensing.builders import make_person

pytestmark = pytest.mark.anyio

_AT_ONCE = 2


class Mortal(StubWorker):
    """Makes two orders at a time and dies of one that says so, with all it has."""

    def __init__(self) -> None:
        super().__init__()
        self.begins = asyncio.Event()
        self.making: list[str] = []
        self.died_of: list[list[str]] = []

    async def submit(self, order: ImageOrder) -> AsyncIterator[Event]:
        life = len(self.died_of)
        yield Queued(place=1)
        await self.begins.wait()
        while len(self.making) == _AT_ONCE or len(self.died_of) > life:
            await asyncio.sleep(0)
            if len(self.died_of) > life:
                raise WorkerLost("gone")
        self.making.append(order.prompt)
        try:
            yield Started(steps=order.steps)
            await asyncio.sleep(0.05)
            if "killer" in order.prompt and len(self.died_of) == life:
                self.died_of.append(sorted(self.making))
            if len(self.died_of) > life:
                raise WorkerLost("gone")
        finally:
            self.making.remove(order.prompt)
        for event in all_good(order):
            yield event


class Heavy(StubWorker):
    """Dies of loading the model, twice."""

    async def load(self, manifest: ModelManifest, **more: object) -> ModelState:
        base = {"digest": manifest.digest, "repository": manifest.repository, "commit": manifest.commit}
        on_state = more["on_state"]
        assert callable(on_state)
        on_state(ModelState(**base, phase=LoadPhase.VERIFYING, bytes_total=int(len(self.loaded) > 0)))
        self.loaded.append(manifest)
        raise WorkerLost("gone")


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    return ImageFolder(tmp_path / "generations")


async def ends(story: Story, *prompts: str) -> list[tuple[str, str, int]]:
    """State, code and losses of orders of as many people, each of whom lines up behind the one before."""
    made: list[Generation] = []
    for prompt in prompts:
        while made and story.studio.latest(made[-1], "queued") is None:
            await asyncio.sleep(0.01)
        async with story.database.write() as session:
            story.ada = await make_person(session)
        made.append(await story.order(prompt=prompt, steps=4))
    if isinstance(story.worker, Mortal):
        story.worker.begins.set()
    ended = [await story.studio.wait(one) for one in made]
    return [_end(one) for one in ended]


async def test_an_order_that_kills_the_worker_fails_alone(database: Database, folder: ImageFolder) -> None:
    story = await tell(database, folder, Mortal())
    first, cat, dog, second, bird = await ends(story, "killer 1", "a cat", "a dog", "killer 2", "a bird")
    assert (first, second) == (("failed", "worker_lost", 2),) * 2
    assert [one[:2] for one in (cat, dog, bird)] == [("done", "")] * 3
    last = [next(of for of in reversed(story.worker.died_of) if killer in of) for killer in ("killer 1", "killer 2")]
    assert last == [["killer 1"], ["killer 2"]]
    assert len(story.worker.died_of) == 4


async def test_an_order_whose_model_kills_the_worker_is_spared_only_while_another_s_is_loaded(
    database: Database, folder: ImageFolder
) -> None:
    story = await tell(database, folder, Heavy(needs_load=True))
    assert await ends(story, "a cat") == [("failed", "worker_lost", 2)]
    assert len(story.worker.loaded) == 3


async def test_a_real_worker_dies_of_one_order_and_makes_those_that_waited_behind_it(
    database: Database, folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.05)
    workers = supervisor.Supervisor(tmp_path / "run", store_dir=None, key=b"k" * 32, settings={"INFERENCE_FAKE": "1"})
    await workers.start()
    try:
        await workers.wait_ready(60)
        story = await tell(database, folder, workers.worker)
        await story.end(prompt="an apple", steps=1)
        _, *found = await ends(story, "fake-slow", "fake-crash", "a cat", "a dog")
        assert found == [("failed", "worker_lost", 2), ("done", "", 0), ("done", "", 0)]
    finally:
        await workers.stop()
        await workers.worker.close()


def _end(made: Generation) -> tuple[str, str, int]:
    return made.state.value, made.code, made.losses
