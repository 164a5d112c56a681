"""Client and supervisor against a real child process: the fake engine, and once the real one."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatekeeper.generation.client import OrderRejected, Worker, WorkerLost
from gatekeeper.generation.supervisor import Supervisor, WorkerState
from gatekeeper.kit.clock import now
from inference.contract import (
    ErrorCode,
    Event,
    Failed,
    Image,
    ImageOrder,
    LoadPhase,
    ManifestFile,
    ModelManifest,
    ModelState,
)

pytestmark = pytest.mark.anyio

KEY = os.urandom(32)
MANIFEST = ModelManifest(
    repository="demo/emoji",
    commit="a" * 40,
    files=(ManifestFile(path="unet/x.safetensors", size_bytes=1, sha256="1" * 64),),
)


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(tmp_path, store_dir=None, key=KEY, settings={"INFERENCE_FAKE": "1"})
    await supervisor.start()
    await supervisor.wait_ready(60)
    yield supervisor
    await supervisor.stop()
    await supervisor.worker.close()


def order_of(prompt: str = "a cat", **changes: Any) -> ImageOrder:
    values: dict[str, Any] = {
        "id": os.urandom(8).hex(),
        "model": MANIFEST.digest,
        "prompt": prompt,
        "steps": 3,
        "deadline_at": now() + timedelta(seconds=60),
        "person_key": "somebody",
    }
    return ImageOrder(**(values | changes))


async def events_of(worker: Worker, order: ImageOrder) -> list[Event]:
    return [event async for event in worker.submit(order)]


async def test_a_model_is_loaded_and_an_image_made(supervisor: Supervisor) -> None:
    states: list[ModelState] = []

    state = await supervisor.worker.load(MANIFEST, on_state=states.append)
    events = await events_of(supervisor.worker, order_of())

    assert state.phase is LoadPhase.READY
    assert states[-1] == state
    assert isinstance(events[-2], Image)
    assert (await supervisor.worker.models())[0].digest == MANIFEST.digest


async def test_health_that_is_not_the_contracts_is_a_workers_that_does_not_answer() -> None:
    worker = Worker("http://worker", key=KEY)
    odd = httpx2.MockTransport(lambda request: httpx2.Response(200, json={"is_ready": "odd"}))
    worker._http = httpx2.AsyncClient(base_url="http://worker", transport=odd)
    with pytest.raises(WorkerLost, match="something else than the contract"):
        await worker.health()
    await worker.close()


async def test_what_the_worker_rejects_says_why(supervisor: Supervisor) -> None:
    with pytest.raises(OrderRejected) as caught:
        await events_of(supervisor.worker, order_of(model="0" * 64))
    assert caught.value.needs_load

    await supervisor.worker.load(MANIFEST)
    with pytest.raises(OrderRejected) as caught:
        await events_of(supervisor.worker, order_of(steps=0, width=3))
    assert len(caught.value.problems) == 3


async def test_an_order_is_cancelled_by_id(supervisor: Supervisor) -> None:
    await supervisor.worker.load(MANIFEST)
    order = order_of("fake-hang")
    events: list[Event] = []
    async for event in supervisor.worker.submit(order):
        events.append(event)
        if event.type == "started":
            assert await supervisor.worker.cancel(order.id)

    assert isinstance(events[-1], Failed)
    assert events[-1].code is ErrorCode.CANCELLED
    assert not await supervisor.worker.cancel(order.id)


async def test_closing_the_iterator_cancels_the_order(supervisor: Supervisor) -> None:
    await supervisor.worker.load(MANIFEST)
    async with aclosing(supervisor.worker.submit(order_of("fake-hang"))) as events:
        async for event in events:
            if event.type == "started":
                break

    events_after = await asyncio.wait_for(events_of(supervisor.worker, order_of()), 5)

    assert events_after[-1].type == "done"


async def test_a_workers_death_fails_its_orders_and_nothing_else(supervisor: Supervisor) -> None:
    await supervisor.worker.load(MANIFEST)
    first = supervisor.pid

    with pytest.raises(WorkerLost):
        await events_of(supervisor.worker, order_of("fake-crash"))

    async with asyncio.timeout(30):
        while supervisor.state is not WorkerState.READY or supervisor.pid in {first, None}:
            await asyncio.sleep(0.05)
    assert supervisor.restarts == 1
    await supervisor.worker.load(MANIFEST)
    assert (await events_of(supervisor.worker, order_of()))[-1].type == "done"


async def test_stopping_leaves_no_process_behind(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, store_dir=None, key=KEY, settings={"INFERENCE_FAKE": "1"})
    await supervisor.start()
    await supervisor.wait_ready(60)
    pid = supervisor.pid
    assert pid is not None

    await supervisor.stop()

    assert supervisor.state is WorkerState.STOPPED
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(WorkerLost):
        await supervisor.worker.health()
    await supervisor.worker.close()


async def test_pinned_models_are_loaded_when_the_server_starts_again(tmp_path: Path) -> None:
    settings = {"INFERENCE_FAKE": "1", "INFERENCE_PINNED_MODELS": MANIFEST.repository}
    left = tmp_path / "models" / "model-of-a-killed-child"

    async def start(then: Callable[[Worker], Awaitable[object]]) -> None:
        supervisor = Supervisor(tmp_path, store_dir=None, key=KEY, settings=settings)
        await supervisor.start()
        try:
            await supervisor.wait_ready(60)
            await then(supervisor.worker)
        finally:
            await supervisor.stop()
            await supervisor.worker.close()

    async def is_back(worker: Worker) -> None:
        async with asyncio.timeout(20):
            while [state.phase for state in await worker.models()] != [LoadPhase.READY]:
                await asyncio.sleep(0.02)

    await start(lambda worker: worker.load(MANIFEST))
    left.mkdir()
    await start(is_back)
    assert not left.exists()


async def test_a_worker_does_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from gatekeeper.generation.supervisor import Supervisor\n"
        "async def main():\n"
        "    fake = {'INFERENCE_FAKE': '1'}\n"
        f"    s = Supervisor(Path({str(tmp_path)!r}), store_dir=None, key=b'k' * 32, settings=fake)\n"
        "    await s.start()\n"
        "    await s.wait_ready(60)\n"
        "    print(s.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=60, check=False
    )
    pid = int(process.stdout.split()[-1])

    async with asyncio.timeout(20):
        while _is_running(pid):
            await asyncio.sleep(0.05)


async def test_the_childs_environment_holds_none_of_our_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEKEEPER_DATABASE_URL", "postgresql://user:secret@db/x")
    supervisor = Supervisor(tmp_path, store_dir=None, key=KEY)

    environment = supervisor._environment()
    await supervisor.worker.close()

    assert not [name for name in environment if name.startswith("GATEKEEPER_")]
    assert KEY.hex() not in str(environment)


async def test_nobody_at_the_address_is_a_lost_worker(tmp_path: Path) -> None:
    worker = Worker(f"unix:{tmp_path / 'none.sock'}", key=KEY)

    with pytest.raises(WorkerLost):
        await worker.health()
    await worker.close()


async def test_a_run_directory_with_a_long_name_works_too(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / ("d" * 120), store_dir=None, key=KEY, settings={"INFERENCE_FAKE": "1"})
    (tmp_path / ("d" * 120)).mkdir(mode=0o700)
    await supervisor.start()
    try:
        await supervisor.wait_ready(60)
    finally:
        await supervisor.stop()
        await supervisor.worker.close()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"  # nobody may be there to collect it
