"""The whole worker as it runs: `python -m inference`, the step engine, weights from a store, nothing replaced."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatekeeper.generation.client import OrderRejected
from gatekeeper.generation.supervisor import Supervisor
from inference.contract import Event, Image, ImageOrder, LoadPhase, ModelManifest, ModelState, SafetyDemand, SldLevel

pytestmark = pytest.mark.anyio

MakeOrder = Callable[..., ImageOrder]


async def test_from_a_stored_commit_to_a_checked_image_and_back_to_the_same_bits(
    tiny_dir: Path, tmp_path: Path, manifest_of: Callable[[Path], ModelManifest], make_order: MakeOrder
) -> None:
    manifest = in_store(manifest_of(tiny_dir), tmp_path / "store")
    refused = manifest.model_copy(
        update={"commit": "f" * 40, "files": tuple(f for f in manifest.files if f.path != "model_index.json")}
    )
    supervisor = Supervisor(
        tmp_path,
        store_dir=tmp_path / "store",
        key=os.urandom(32),
        settings={
            "INFERENCE_CHECKERS": str(tiny_dir / "safety_checker"),
            "INFERENCE_DTYPE": "float32",
            "INFERENCE_THREADS": "2",
        },
    )
    await supervisor.start()
    try:
        await supervisor.wait_ready(300)
        worker = supervisor.worker
        states: list[ModelState] = []
        state = await worker.load(manifest, on_state=states.append)
        bad = await worker.load(refused)
        demand = SafetyDemand(sld_level=SldLevel.STRONG, checker_sha256=state.checker_sha256)
        order = make_order(model=manifest.digest, safety=demand, images=2, deadline_at=soon())
        events: list[Event] = [event async for event in worker.submit(order)]
        first = next(event for event in events if isinstance(event, Image))
        again = make_order(
            model=manifest.digest,
            safety=demand,
            seed=first.receipt.seed,
            bucket=first.receipt.bucket,
            deadline_at=soon(),
        )
        repeated = [event async for event in worker.submit(again)]
        with pytest.raises(OrderRejected) as rejected:
            await anext(aiter(worker.submit(make_order(model=refused.digest, deadline_at=soon()))))
    finally:
        await supervisor.stop()
        await supervisor.worker.close()

    assert {s.phase for s in states} >= {LoadPhase.VERIFYING, LoadPhase.READY}
    assert state.phase is LoadPhase.READY
    assert state.engine == "step"
    assert state.bytes_verified > 0
    assert state.concepts[0] == "thing 0"
    assert (bad.phase, bad.message) == (
        LoadPhase.FAILED,
        "model_index.json is missing: this is not a diffusers pipeline",
    )
    assert rejected.value.code == "model_refused"
    assert events[-1].type == "done"
    assert first.receipt.sld.acted
    assert first.receipt.torch_version.startswith("2.")
    assert first.receipt.threads == 2
    assert next(event for event in repeated if isinstance(event, Image)).png_base64 == first.png_base64
    log = (tmp_path / "inference.log").read_text()
    assert order.prompt not in log


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(minutes=2)


def in_store(manifest: ModelManifest, store: Path) -> ModelManifest:
    """Weights in the store, small files inline, as the web process sends them."""
    files = []
    for file in manifest.files:
        if file.path.endswith(".safetensors"):
            place = store / "sha256" / file.sha256[:2] / file.sha256[2:4] / file.sha256
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.content() or b"")
            files.append(file.model_copy(update={"inline": None}))
        else:
            files.append(file)
    return manifest.model_copy(update={"files": tuple(files)})
