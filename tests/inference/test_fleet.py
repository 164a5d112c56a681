"""Which models stay: the last ones ordered, the pinned ones, and those that are at work."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from inference.contract import ErrorCode, LoadPhase, ModelManifest, ModelState
from inference.fake import build_fake
from inference.fleet import Fleet, Model
from inference.room import Room
from inference.watch import LoadWatch

pytestmark = pytest.mark.anyio

SIZE = 100


def build(manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
    watch.hold(SIZE)
    return replace(build_fake(manifest, directory, LoadWatch()), held_bytes=SIZE)


@pytest.fixture
def named(make_manifest: Callable[..., ModelManifest]) -> Callable[[str], ModelManifest]:
    def make(name: str) -> ModelManifest:
        return make_manifest({"model_index.json": name.encode()}).model_copy(update={"repository": f"demo/{name}"})

    return make


def fleet(models: int, *, pinned: frozenset[str] = frozenset(), grace_seconds: float = 0.0) -> Fleet:
    return Fleet(build, room=Room(int(models * SIZE / 0.8)), pinned=pinned, grace_seconds=grace_seconds)


async def load(fleet: Fleet, manifest: ModelManifest) -> ModelState:
    async for state in fleet.load(manifest):
        last = state
    return last


async def test_the_model_not_ordered_for_longest_makes_room(named: Callable[[str], ModelManifest]) -> None:
    models, (one, two, three) = fleet(2), map(named, ("one", "two", "three"))
    await load(models, one)
    await load(models, two)
    models.find(one.digest)

    await load(models, three)

    assert models.find(two.digest) is None
    assert {state.repository for state in models.states()} == {"demo/one", "demo/three"}
    assert all(state.memory_bytes == SIZE for state in models.states())
    assert [state.last_used_at is None for state in models.states()] == [False, True]


async def test_a_pinned_model_stays_and_one_that_finds_no_room_is_told_so(
    named: Callable[[str], ModelManifest],
) -> None:
    models, pinned, other = fleet(1, pinned=frozenset({"demo/pinned"})), named("pinned"), named("other")
    await load(models, pinned)

    state = await load(models, other)

    assert (state.phase, state.error) == (LoadPhase.FAILED, ErrorCode.OUT_OF_MEMORY)
    assert "pinned" in (state.message or "")
    assert isinstance(models.find(pinned.digest), Model)
    assert [state.is_pinned for state in models.states()] == [True, False]


async def test_of_two_models_that_do_not_fit_together_each_stays_until_its_first_order_has_come(
    named: Callable[[str], ModelManifest],
) -> None:
    models, wanted = fleet(1, grace_seconds=20), list(map(named, ("one", "two")))
    working: set[str] = set()
    models.is_in_use = working.__contains__

    async def order(manifest: ModelManifest) -> None:
        await load(models, manifest)
        await asyncio.sleep(0.1)  # the news travels to the web process, and the order back
        assert isinstance(models.find(manifest.digest), Model)
        working.add(manifest.digest)
        await asyncio.sleep(0.1)
        working.remove(manifest.digest)

    await asyncio.gather(*map(order, wanted))

    assert models.find(wanted[0].digest) is None


async def test_nobody_goes_for_a_model_that_would_not_fit_without_them_either(
    named: Callable[[str], ModelManifest],
) -> None:
    models, small, large = fleet(1), named("small"), named("large")
    await load(models, small)
    models._build = lambda manifest, directory, watch: watch.hold(2 * SIZE)  # type: ignore[assignment,return-value]

    state = await load(models, large)

    assert (state.phase, state.error) == (LoadPhase.FAILED, ErrorCode.OUT_OF_MEMORY)
    assert isinstance(models.find(small.digest), Model)


async def test_a_model_that_goes_finishes_its_orders_first(named: Callable[[str], ModelManifest]) -> None:
    models, busy, other = fleet(1), named("busy"), named("other")
    is_busy = True
    models.is_in_use = lambda digest: is_busy and digest == busy.digest
    await load(models, busy)

    coming = asyncio.create_task(load(models, other))
    while models.find(busy.digest) is not None:
        await asyncio.sleep(0)
    assert not coming.done()
    assert isinstance(models.find(other.digest), ModelState)
    is_busy = False

    assert (await coming).phase is LoadPhase.READY


async def test_without_a_place_to_build_it_a_model_fails_with_a_sentence_and_is_tried_again(
    named: Callable[[str], ModelManifest], tmp_path: Path
) -> None:
    models = Fleet(build, work_dir=tmp_path / "gone")

    state = await load(models, named("one"))

    assert (state.phase, state.error) == (LoadPhase.FAILED, ErrorCode.INTERNAL)
    assert state.message == "The model could not be loaded; the worker's log says why."
    (tmp_path / "gone").mkdir()
    assert (await load(models, named("one"))).phase is LoadPhase.READY
    assert not list((tmp_path / "gone").iterdir())


async def test_what_failed_to_load_holds_nothing(named: Callable[[str], ModelManifest]) -> None:
    room = Room(int(SIZE / 0.8))
    calls: list[str] = []

    def fail_once(manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
        watch.hold(SIZE)
        calls.append(manifest.repository)
        if len(calls) == 1:
            raise ValueError
        return build(manifest, directory, watch)

    models = Fleet(fail_once, room=room)
    await load(models, named("one"))

    assert room.models_bytes == 0
    assert (await load(models, named("two"))).phase is LoadPhase.READY
