"""What an evaluation costs beside its images: images a second of a run, against the engine's own, in the same run.

    python bench/evaluation.py [--images 1000 | --quick]

A run of the bundled model's grid goes all the way: orders that are decided, screened, checked, marked, signed and
recorded, three at a time, images kept one by one, then read and reported. Before and after it the same prompts go to
the inference process, eight orders at a time, and nothing is kept: that is what the engine can do. Steering is off.
"""

import argparse
import asyncio
import contextlib
import time
from datetime import timedelta
from typing import Any

from gatekeeper import evaluation, generation, laboratory
from gatekeeper.cli.evaluate import bundled_hub
from gatekeeper.evaluation import EvaluationRun, RunState, Shot, runs
from gatekeeper.generation import Worker
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.laboratory import Wanted, making
from gatekeeper.repos.storage import object_key
from gatekeeper.web.state import Gatekeeper
from gatekeeper.worker import EVALUATION_SECONDS, work_once
from inference.contract import Image, ImageOrder, ModelManifest, SafetyDemand, SldLevel

QUICK_IMAGES = 200
STRAIGHT_AT_ONCE = 8
START_SECONDS = 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument(
        "--quick", action="store_true", help=f"about {QUICK_IMAGES} images: shows that the script works"
    )
    options = parser.parse_args()
    asyncio.run(_measure(QUICK_IMAGES if options.quick else options.images))


async def _measure(images: int) -> None:
    grid = evaluation.load_grids()["emoji"]
    fixed = len(grid.identities) * grid.identity_seeds
    each = max(round((images - fixed) / (len(grid.subjects) * len(grid.guidance_scales))), 1)
    async with bundled_hub() as (house, by, repo, commit), contextlib.AsyncExitStack() as stack:
        async with house.db.write() as session:
            wanted = Wanted(grid.id, seeds=each, sld_levels=("off",))
            run = await laboratory.begin(session, repo, commit, wanted, by=by, policies=house.policies, health=None)
            manifest = await generation.worker_manifest(session, repo, commit)
        for file in manifest.files:
            if file.inline is None:
                await stack.enter_async_context(house.store.at_hand(object_key(file.sha256)))
        assert house.supervisor is not None
        await house.supervisor.start()
        try:
            await house.supervisor.wait_ready(START_SECONDS)
            worker = house.studio.require_worker()
            await worker.load(manifest)
            shots = list(grid.shots(run.settings))
            before = await _straight(worker, manifest, run, shots[: len(shots) // 2])
            making, reading = await _carried_out(house, run)
            after = await _straight(worker, manifest, run, shots[len(shots) // 2 :])
        finally:
            await house.studio.close()
            await house.supervisor.stop()
    own, of_run = (before + after) / 2, run.images_total / making
    print(f"{run.images_total} images in {making:.0f} s, then {reading:.1f} s to the signed report")
    print(f"    images a second of the run   {of_run:.2f}")
    print(f"    images a second of the engine {own:.2f} ({before:.2f} before, {after:.2f} after)")
    print(f"    ratio {of_run / own:.2f}; with reading and report {run.images_total / (making + reading) / own:.2f}")


async def _straight(worker: Worker, manifest: ModelManifest, run: EvaluationRun, shots: list[Shot[Any]]) -> float:
    """Images a second when nothing is decided, recorded or kept."""
    places = asyncio.Semaphore(STRAIGHT_AT_ONCE)

    async def order(part: list[Shot[Any]]) -> int:
        asked = ImageOrder(
            id=new_id(),
            model=manifest.digest,
            prompt=part[0].prompt.text,
            steps=run.settings["steps"],
            bucket=run.settings["bucket"],
            guidance_scale=part[0].guidance_scale,
            seed=part[0].seed,
            images=len(part),
            safety=SafetyDemand(sld_level=SldLevel.OFF),
            deadline_at=now() + timedelta(hours=1),
            person_key="bench",
        )
        async with places:
            return sum([isinstance(event, Image) async for event in worker.submit(asked)])

    began = time.perf_counter()
    made = await asyncio.gather(*(order(part) for part in making._batches(shots)))
    return sum(made) / (time.perf_counter() - began)


async def _carried_out(house: Gatekeeper, run: EvaluationRun) -> tuple[float, float]:
    """Seconds to the last image, and from there to the report."""
    handlers = {evaluation.JOB: lambda payload: laboratory.carry_on(house.equipment, payload)}
    began = now()
    while run.state is RunState.RUNNING:
        await work_once(house.db, handlers, lease_seconds=EVALUATION_SECONDS)
        async with house.db.read() as session:
            run = await session.get_one(EvaluationRun, run.id)
            last = max(image.made_at for image in (await runs.made(session, run)).values())
    assert run.state is RunState.DONE, run.reason
    return (last - began).total_seconds(), (now() - last).total_seconds()


if __name__ == "__main__":
    main()
