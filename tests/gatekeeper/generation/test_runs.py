"""What is told of an order in the making, to those who watch and to those who come later."""

import pytest

from gatekeeper.generation.runs import Run
from inference.contract import LoadPhase, ModelState

pytestmark = pytest.mark.anyio


def verifying(count: int) -> ModelState:
    base = {"digest": "1" * 64, "repository": "demo/tiny", "commit": "2" * 40}
    return ModelState(**base, phase=LoadPhase.VERIFYING, bytes_verified=count, bytes_total=7_000)


async def told(run: Run, after: str = "") -> list[tuple[str, int]]:
    run.leave()
    return [(update.type, update.data.get("bytes_verified", -1)) async for update in run.follow(after)]


async def test_of_loading_only_the_last_is_kept_and_whoever_comes_again_misses_and_repeats_nothing() -> None:
    run = Run()
    run.tell("queued", {"place": 1})
    run.loading(verifying(0))
    early = run.latest("loading")
    for count in range(1, 7_001):
        run.loading(verifying(count))
    run.tell("started", {"steps": 4})

    assert early is not None
    assert await told(run) == [("queued", -1), ("loading", 7_000), ("started", -1)]
    assert await told(run, early.id) == [("loading", 7_000), ("started", -1)]
    assert await told(run, "of another process-1") == await told(run)


def test_what_the_worker_says_of_a_load_is_told() -> None:
    run, said = Run(), "Warming up: call 3 of 8."
    run.loading(verifying(7_000).model_copy(update={"phase": LoadPhase.LOADING, "message": said}))
    update = run.latest("loading")
    assert update is not None
    assert update.data == {"phase": "loading", "message": said, "bytes_verified": 7_000, "bytes_total": 7_000}


async def test_a_watcher_who_is_there_sees_how_the_model_comes() -> None:
    run, seen = Run(), []
    run.loading(verifying(1))
    async for update in run.follow():
        seen.append(update.data["bytes_verified"])
        if len(seen) == 3:
            break
        run.loading(verifying(len(seen) + 1))

    assert seen == [1, 2, 3]
