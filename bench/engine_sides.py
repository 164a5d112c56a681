"""The sides that bench/engine.py compares: users that each wait for their image and then order the next one.

one by one   bare diffusers, in the order of arrival
batched      bare diffusers, all that wait (at most 16) in one call: what request batching can do
engine       the worker's own way: queue, step engine, decoding, check, PNG, receipt
"""

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import diffusers
import torch

from inference.contract import Done, Event, ImageOrder, SafetyDemand, SldLevel
from inference.engine import Engine
from inference.fleet import Model
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.safety import levels
from inference.safety.prompts import read_rules
from inference.safety.trusted import read_checker
from inference.schedulers import make_scheduler
from inference.ticket import Request, Ticket

PROMPTS = ("a doctor", "a red apple", "a cat", "a teacher", "a bus", "the sun", "a horse", "a rose")
GUIDANCE = 4.0
LARGEST_BATCH = 16
BUCKETS = (1, 2, 3, 4, 6, 8, 16, 24)
_numbers = count()
_rules = read_rules()


@dataclass
class Load:
    """So many users, each of which orders so many images, one after another."""

    model: Model
    users: int
    orders: int
    steps: int
    level: SldLevel

    def order(self, user: int) -> ImageOrder:
        """The next order of a user."""
        number = next(_numbers)
        return ImageOrder(
            id=f"bench-{number}",
            model=self.model.state.digest,
            prompt=PROMPTS[number % len(PROMPTS)],
            steps=self.steps,
            guidance_scale=GUIDANCE,
            seed=number,
            safety=SafetyDemand(sld_level=self.level),
            deadline_at=datetime.now(UTC) + timedelta(hours=1),
            person_key=f"person-{user}",
        )


@dataclass
class Outcome:
    """Of one side under one load.

    latencies  seconds from order to image, of each image
    cpu, wall  seconds of the whole run
    """

    latencies: list[float] = field(default_factory=list)
    cpu: float = 0.0
    wall: float = 0.0

    def share(self, part: float) -> float:
        """The latency that this part of all images did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]


def timed(work: Callable[[Outcome], None]) -> Outcome:
    """What a side takes, of the whole process."""
    outcome = Outcome()
    cpu, wall = time.process_time(), time.perf_counter()
    work(outcome)
    outcome.cpu, outcome.wall = time.process_time() - cpu, time.perf_counter() - wall
    return outcome


def through_diffusers(pipeline: Any, load: Load, outcome: Outcome, *, batch: int) -> None:
    """Users wait in a line; at most `batch` of them are served by one call."""
    now = time.perf_counter()
    line = [(now, user, load.orders) for user in range(load.users)]
    while line:
        served, line = line[:batch], line[batch:]
        orders = [load.order(user) for _, user, _ in served]
        images = pipeline(
            [order.prompt for order in orders],
            num_inference_steps=load.steps,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator().manual_seed(order.seed) for order in orders],
            **sld_options(load),
        ).images
        for image in images:
            image.save(io.BytesIO(), "PNG")
        now = time.perf_counter()
        outcome.latencies += [now - began for began, _, _ in served]
        line += [(now, user, left - 1) for _, user, left in served if left > 1]


def through_engine(load: Load, outcome: Outcome) -> None:
    """The engine in its own thread, as the worker has it; each image's end brings the user's next order."""
    engine, release = make_engine()
    left = dict.fromkeys(range(load.users), load.orders)
    is_done, lock = threading.Event(), threading.Lock()

    def send(user: int) -> None:
        began = time.perf_counter()

        def emit(event: Event) -> None:
            if not isinstance(event, Done):
                assert event.type not in {"failed", "refused"}, event
                return
            with lock:
                outcome.latencies.append(time.perf_counter() - began)
                left[user] -= 1
                if not any(left.values()):
                    is_done.set()
            if left[user]:
                threading.Thread(target=send, args=(user,)).start()  # a ticket's lock is held here

        engine.queue.put(ticket(load, load.order(user), emit))

    engine.start()
    for user in left:
        send(user)
    is_done.wait()
    engine.close()
    release.close()


def make_engine() -> tuple[Engine, Release]:
    """An engine that is not started, and its way out."""
    threads = torch.get_num_threads()
    runtime = Runtime(torch.__version__, diffusers.__version__, "cpu")
    release = Release(runtime, on_start=lambda: torch.set_num_threads(threads))
    queue = FairQueue(waiting_orders=10_000, waiting_per_person=10_000)
    return Engine(queue, release, buckets=BUCKETS, max_rows=max(BUCKETS), threads=threads), release


def ticket(load: Load, order: ImageOrder, emit: Callable[[Event], None]) -> Ticket:
    """An accepted order."""
    model = load.model
    return Ticket(
        Request(order, model, _rules, model.default_width, model.default_height, model.default_scheduler), emit
    )


def sld_options(load: Load) -> dict[str, Any]:
    """Safe Latent Diffusion as diffusers' deprecated pipeline takes it; nothing for the plain one."""
    if load.level is SldLevel.OFF:
        return {}
    level = levels.PARAMETERS[load.level].scaled_to(load.steps)
    return {
        "sld_warmup_steps": level.warmup_steps,
        "sld_guidance_scale": level.guidance_scale,
        "sld_threshold": level.threshold,
        "sld_momentum_scale": level.momentum_scale,
        "sld_mom_beta": level.momentum_beta,
    }


def bare_pipeline(model: Model, directory: Path, level: SldLevel) -> Any:
    """diffusers over the very same modules, with the model's checker in the same number format."""
    checker = read_checker(directory / "safety_checker")
    kind = diffusers.StableDiffusionPipeline
    if level is not SldLevel.OFF:
        from diffusers.pipelines.deprecated.stable_diffusion_safe import StableDiffusionPipelineSafe

        kind = StableDiffusionPipelineSafe
    pipeline = kind(
        **model.parts,
        scheduler=make_scheduler(model.default_scheduler, model.scheduler_config),
        safety_checker=checker._module.to(model.dtype),
        feature_extractor=checker._processor,
    )
    pipeline.set_progress_bar_config(disable=True)
    if level is not SldLevel.OFF:
        pipeline.safety_concept = levels.SAFETY_CONCEPT
    return pipeline
