"""The step engine against bare diffusers: one by one, and with request batching; the service's cost; growth; memory.

    python bench/engine.py [--quick] [--model DIR] [--steps 20] [--orders 3] [--repeats 3]

Users each wait for their image and then order the next. All sides run in this process, in turns, with the same threads,
number format, steps, guidance, prompts and safety checker, and all end with PNG bytes. Bare diffusers with Safe Latent
Diffusion is its deprecated `StableDiffusionPipelineSafe`, the only bare thing there is. On a shared machine CPU time is
what counts; wall time is mostly other people's work. `--quick` shows that it works; its figures mean little.

Without --model it measures the bundled weights, or where they are not installed random ones of the same shape.
"""

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "HF_HUB_OFFLINE": "1"}

import diffusers
import torch
from engine_models import cpu_name, load_model, quiet, random_pipeline
from engine_service import service
from engine_sides import (
    LARGEST_BATCH,
    Load,
    Outcome,
    bare_pipeline,
    make_engine,
    through_diffusers,
    through_engine,
    ticket,
    timed,
)
from measuring import Report

from gatekeeper.generation.client import Worker
from inference.contract import Image, SldLevel
from inference.emoji import weights_dir
from inference.fleet import Model

MEBIBYTE = 2**20
KEY = b"bench-key-" * 4


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="pipeline directory (default: the bundled weights)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--orders", type=int, default=3, help="images that each user orders, one after another")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", choices=["one by one", "batched", "engine"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.steps, arguments.orders, arguments.repeats = 4, 1, 1
    quiet()
    warnings.simplefilter("ignore")  # diffusers' own, about its deprecated pipeline
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    report = Report()
    with tempfile.TemporaryDirectory(prefix="gk-") as scratch:
        directory = arguments.model or (weights_dir() if weights_dir().is_dir() else random_pipeline(Path(scratch)))
        model = load_model(directory, Path(scratch))
        if arguments.peak:
            side = sides(model, directory, Load(model, 8, 1, arguments.steps, SldLevel.OFF))[arguments.peak]
            timed(side)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
            return
        report.tell(
            f"model {directory.name}, {arguments.steps} steps, {model.dtype}, {torch.get_num_threads()} threads"
        )
        report.tell(f"torch {torch.__version__}, diffusers {diffusers.__version__}; {cpu_name()}")
        report.tell(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors when the run began")
        for level in (SldLevel.OFF, SldLevel.MEDIUM):
            for users in (1, 4) if arguments.quick else (1, 4, 8, 16):
                crowd(report, model, directory, Load(model, users, arguments.orders, arguments.steps, level), arguments)
        growth(report, model, 3 if arguments.quick else 20)
        overhead(report, model, directory, Path(scratch), arguments)
        load = Load(model, 1, 1, arguments.steps, SldLevel.OFF)
        bare = sides(model, directory, load)["one by one"]
        service(report, load, bare, directory, Path(scratch) / "hub", 10 * arguments.repeats)
    memory(report, arguments)
    sys.exit(bool(report.missed))


def sides(model: Model, directory: Path, load: Load) -> dict[str, Callable[[Outcome], None]]:
    """What is compared."""
    pipeline = bare_pipeline(model, directory, load.level)
    return {
        "one by one": partial(through_diffusers, pipeline, load, batch=1),
        "batched": partial(through_diffusers, pipeline, load, batch=LARGEST_BATCH),
        "engine": partial(through_engine, load),
    }


def crowd(report: Report, model: Model, directory: Path, load: Load, arguments: argparse.Namespace) -> None:
    """Throughput and latencies of so many users at once: the best round of each side, in turns."""
    rounds: dict[str, list[Outcome]] = {}
    for repeat in range(arguments.repeats + 1):
        for name, side in sides(model, directory, load).items():
            outcome = timed(side)
            if repeat > 0:  # the first round warms up
                rounds.setdefault(name, []).append(outcome)
    report.title(f"{load.users} users, SLD {load.level}")
    best = {name: min(outcomes, key=lambda outcome: outcome.cpu) for name, outcomes in rounds.items()}
    for name, outcome in best.items():
        images = len(outcome.latencies)
        report.tell(
            f"{name:<10} {images / outcome.wall:6.2f} images/s   {1000 * outcome.cpu / images:6.0f} CPU ms an image   "
            f"p50 {outcome.share(0.5):5.2f} s   p95 {outcome.share(0.95):5.2f} s"
        )
    for name in ("one by one", "batched"):
        gain, cpu = best[name].wall / best["engine"].wall, best[name].cpu / best["engine"].cpu
        report.tell(f"engine against {name}: {gain:.2f} times by wall time, {cpu:.2f} by CPU time")


def growth(report: Report, model: Model, ticks: int) -> None:
    """What a tick costs beside the denoiser's call while so many orders wait."""
    report.title("growth with the waiting line")
    load = Load(model, 1, 1, 50, SldLevel.OFF)
    for waiting in (10, 100, 1000):
        engine, release = make_engine()
        began = time.process_time()
        for user in range(waiting):
            engine.queue.put(ticket(load, load.order(user), lambda event: None))
        arrival = (time.process_time() - began) / waiting
        engine.tick()
        beside = []
        for _ in range(ticks):
            with denoiser_seconds(model) as inside:
                began = time.process_time()
                engine.tick()
                beside.append(time.process_time() - began - sum(inside))
        release.close()
        report.tell(
            f"{waiting:>5} waiting: {1e6 * arrival:6.0f} us CPU an arrival, "
            f"{1000 * statistics.median(beside):6.2f} ms CPU a tick beside the denoiser"
        )


@contextmanager
def denoiser_seconds(model: Model) -> Iterator[list[float]]:
    """What its denoiser's calls take, as a list whose sum is CPU seconds."""
    instants: list[float] = []
    unet = model.parts["unet"]
    before = unet.register_forward_pre_hook(lambda *_: instants.append(-time.process_time()))
    after = unet.register_forward_hook(lambda *_: instants.append(time.process_time()))
    yield instants
    before.remove()
    after.remove()


def overhead(report: Report, model: Model, directory: Path, scratch: Path, arguments: argparse.Namespace) -> None:
    """One user, through a worker process and its signed socket, against the bare pipeline: bytes to bytes."""
    report.title("one user: worker process with signature, queue, check, receipt, against the bare pipeline")
    load = Load(model, 1, 1, arguments.steps, SldLevel.OFF)
    bare = sides(model, directory, load)["one by one"]
    environment = {
        "INFERENCE_SOCKET": str(scratch / "run" / "w.sock"),
        "INFERENCE_KEY": KEY.decode(),
        "INFERENCE_STORE_DIR": str(scratch / "store"),
        "INFERENCE_CHECKERS": str(directory / "safety_checker"),
        "INFERENCE_THREADS": str(torch.get_num_threads()),
        "INFERENCE_DTYPE": str(model.dtype).removeprefix("torch."),
        "INFERENCE_LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen([sys.executable, "-m", "inference"], env=os.environ | environment)
    try:
        seconds: dict[str, list[float]] = {"bare": [], "worker": []}

        async def through_worker() -> None:
            worker = Worker(f"unix:{environment['INFERENCE_SOCKET']}", key=KEY)
            while not Path(environment["INFERENCE_SOCKET"]).exists():
                await asyncio.sleep(0.05)
            await worker.load(model.manifest)
            for repeat in range(2 * arguments.repeats + 1):
                outcome = timed(bare)
                began = datetime.now(UTC)
                images = [event async for event in worker.submit(load.order(0)) if isinstance(event, Image)]
                if repeat > 0 and images[0].png():
                    seconds["bare"].append(outcome.wall)
                    seconds["worker"].append((datetime.now(UTC) - began).total_seconds())
            await worker.close()

        asyncio.run(through_worker())
    finally:
        process.terminate()
        process.wait()
    best = {name: min(values) for name, values in seconds.items()}
    report.tell(f"bare {1000 * best['bare']:.0f} ms, worker {1000 * best['worker']:.0f} ms")
    report.tell(f"share on top of the bare pipeline: {best['worker'] / best['bare'] - 1:.2f}")


def memory(report: Report, arguments: argparse.Namespace) -> None:
    """Peak resident memory of a process with eight users, by side."""
    report.title("peak memory, 8 users")
    for side in ("one by one", "batched", "engine"):
        command = [sys.executable, __file__, "--peak", side, "--steps", str(min(arguments.steps, 4))]
        command += ["--model", str(arguments.model)] if arguments.model else []
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
        report.tell(f"{side:<10} {peak / MEBIBYTE:6.0f} MiB")


if __name__ == "__main__":
    main()
