"""Pipelines that the step engine does not know, run through diffusers as they are: one image at a time, same way out.

Only the arguments named here reach a pipeline: no callbacks, embeddings, latents or output types of the user's choice.
Safe Latent Diffusion cannot act inside a foreign loop; the receipt says so.
"""

import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import diffusers
import numpy as np
import torch
from torch import Tensor

from inference.buckets import require_room
from inference.contract import ErrorCode, Scheduler, Started
from inference.denoising import dtype_name
from inference.engine import IDLE_SECONDS, explain
from inference.fleet import Model
from inference.line import FloatImage, Making
from inference.memory import is_out_of_memory, reclaim
from inference.queue import FairQueue
from inference.release import Release
from inference.schedulers import make_scheduler, published_scheduler
from inference.shares import Shares
from inference.ticket import Ticket

log = logging.getLogger(__name__)


class OrderOver(Exception):
    """Raised out of a pipeline's loop when its order was cancelled or is late."""


class PipelineLane:
    """A thread that runs whole pipelines: one image at a time, and orders of different people in turns.

    spare_bytes  memory that a run may take now
    """

    def __init__(
        self,
        queue: FairQueue,
        release: Release,
        *,
        threads: int = 1,
        spare_bytes: Callable[[], int] = lambda: sys.maxsize,
    ) -> None:
        self.queue = queue
        self._release = release
        self._threads = threads
        self._spare_bytes = spare_bytes
        self._shares = Shares()
        self._making: dict[str, tuple[Ticket, int]] = {}  # by person: an order, and which of its images follows
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipelines", daemon=True)

    def start(self) -> None:
        """Begin to work, in the lane's thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop; the orders in the making fail, at the next step."""
        self._stopping.set()
        self.queue.wake()
        for ticket, _ in list(self._making.values()):
            ticket.fail(ErrorCode.CANCELLED, "The worker is shutting down.")
        self._thread.join()

    @property
    def running(self) -> int:
        """Orders in the making."""
        return sum(following > 0 for _, following in list(self._making.values()))

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        while not self._stopping.is_set():
            self._look_round()
            if self._making:
                self._advance(min(self._making, key=self._turn))
            else:
                self.queue.wait(IDLE_SECONDS)

    def _look_round(self) -> None:
        """Forget orders that have ended, and let those come that have waited for longest, one of each person."""
        for person, (ticket, _) in list(self._making.items()):
            if ticket.is_over or ticket.expire():
                self._forget(person)
        for ticket in self.queue.waiting():
            if (person := ticket.order.person_key) not in self._making:
                self._making[person] = ticket, 0
                self._shares.enter(person, ticket.order.weight)

    def _turn(self, person: str) -> tuple[bool, bool, float]:
        ticket, following = self._making[person]
        orders = self.queue.count(person) + (following > 0)
        return ticket.order.is_background, *self._shares.turn(person, orders=orders)

    def _advance(self, person: str) -> None:
        """Make one image of this person's order."""
        ticket, index = self._making[person]
        self._making[person] = ticket, index + 1
        began = time.perf_counter()
        try:
            self._make(ticket, index)
        except OrderOver:
            ticket.expire()
        except Exception as error:
            log.error("a pipeline failed: %s", type(error).__name__)
            if is_out_of_memory(error):
                reclaim(ticket.request.model.device)
            ticket.fail(*explain(error))
        self._shares.charge(person, time.perf_counter() - began)
        if index + 1 == ticket.order.images:
            self._forget(person)

    def _forget(self, person: str) -> None:
        del self._making[person]
        self._shares.leave(person)

    def _make(self, ticket: Ticket, index: int) -> None:
        request, order = ticket.request, ticket.order
        if index == 0:
            self.queue.take(ticket)
            require_room(ticket, 1, self._spare_bytes())
            ticket.tell(Started(steps=order.steps))
        began = time.perf_counter()
        pixels = run_pipeline(ticket, index)
        ticket.charge(time.perf_counter() - began)
        self._release.submit(
            Making(
                ticket=ticket,
                index=index,
                pixels=partial(np.asarray, pixels),
                bucket=None,
                scheduler=str(request.scheduler or request.model.scheduler_config["_class_name"]),
                dtype=dtype_name(request.model.dtype),
                sld_acted=False,
            )
        )


def run_pipeline(ticket: Ticket, index: int) -> FloatImage:
    """(3, height, width) float32 in about [0, 1]: one image of an order. Raises OrderOver when it ends meanwhile."""
    request, order = ticket.request, ticket.order

    def on_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if ticket.is_over or ticket.is_late:
            raise OrderOver
        done = index * order.steps + min(step + 1, order.steps)
        ticket.step(done // order.images, order.steps)
        return tensors

    image: FloatImage = (
        call_pipeline(
            request.model,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            scheduler=request.scheduler,
            width=request.width,
            height=request.height,
            steps=order.steps,
            guidance_scale=order.guidance_scale,
            seed=request.seed(index),
            on_step=on_step,
        )
        .cpu()
        .numpy()
    )
    return image


@torch.inference_mode()
def call_pipeline(
    model: Model,
    *,
    prompt: str,
    width: int,
    height: int,
    steps: int,
    guidance_scale: float = 5.0,
    negative_prompt: str = "",
    scheduler: Scheduler | None = None,
    seed: int = 0,
    on_step: Callable[..., dict[str, Any]] | None = None,
) -> Tensor:
    """(3, height, width) float32 in about [0, 1] on the model's device: one run.

    scheduler  None: the one it was published with
    on_step    diffusers' callback after each step
    """
    config = model.scheduler_config
    sampler = published_scheduler(config) if scheduler is None else make_scheduler(scheduler, config)
    pipeline: Any = assembled(model, sampler)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.image_processor.denormalize = _denormalized
    result = pipeline(
        prompt=prompt,
        **({"negative_prompt": negative_prompt or None} if model.takes_negative_prompt else {}),
        width=width,
        height=height,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
        callback_on_step_end=on_step,
    )
    image: Tensor = result.images[0].float()
    return image


def _denormalized(images: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1], as diffusers does, but without its clamp: that makes infinity white before it is seen."""
    return images * 0.5 + 0.5


def assembled(model: Model, scheduler: Any) -> Any:
    """The pipeline over the model's parts; what it names and we do not give it (its checker) is None."""
    kind = getattr(diffusers, model.pipeline)
    places = inspect.signature(kind.__init__).parameters.values()
    absent = {place.name: None for place in places if place.default is place.empty and place.name != "self"}
    own = {"requires_safety_checker": False} if any(p.name == "requires_safety_checker" for p in places) else {}
    return kind(**{**absent, **own, **model.parts, "scheduler": scheduler})


def takes_negative_prompt(pipeline: str) -> bool:
    """Whether a pipeline, by its class's name, can be told what not to make."""
    return "negative_prompt" in inspect.signature(getattr(diffusers, pipeline).__call__).parameters
