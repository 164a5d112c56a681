"""The step engine: one denoiser call per tick, with rows of several images, each at its own step of its own sampler.

An image holds its scheduler, generator, latents and SLD momentum; only the denoiser call is shared. Every call has a
fixed number of rows, the image's *bucket*; unused rows are zeros. On one machine the denoiser's answer for a row
depends on the number of rows but not on what the others hold or on the row's position, so an image made alone and the
same image made among others are equal bit for bit when their buckets are equal. The bucket is chosen at admission by
load, kept for the image's life, written into the receipt, and can be pinned by the order. Everything else that shapes
an image (text encoding, sampler, decoding) is computed for it alone.

All torch work of the engine happens in its one thread; decoding and checking happen beside it, in `release`.
"""

import logging
import threading
import time
from functools import partial

import torch
from torch import Tensor

from inference.contract import ErrorCode, Started
from inference.denoising import NotFinite, Sample, begin, decode, denoise, dtype_name, encode, take_step
from inference.fleet import Model
from inference.queue import FairQueue
from inference.release import Making, Release
from inference.safety import levels
from inference.ticket import Ticket

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5


class Engine:
    """Runs the samples of all orders. `queue` is shared with the server's threads, everything else is the engine's own.

    buckets   row counts a call may have, ascending
    max_rows  rows in the making at once; orders beyond it wait in the queue
    """

    def __init__(
        self, queue: FairQueue, release: Release, *, buckets: tuple[int, ...], max_rows: int, threads: int = 1
    ) -> None:
        self.queue = queue
        self._release = release
        self._buckets = tuple(sorted(buckets))
        self._max_rows = max_rows
        self._threads = threads
        self._samples: list[Sample] = []
        self._tick = 0
        self._constant_embeddings: dict[tuple[str, str], Tensor] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to work, in the engine's thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the current tick; orders in the making fail."""
        self._stopping.set()
        self.queue.wake()
        self._thread.join()
        for sample in self._samples:
            sample.ticket.fail(ErrorCode.CANCELLED, "The worker is shutting down.")

    @property
    def running(self) -> int:
        """Orders in the making."""
        return len({id(sample.ticket) for sample in list(self._samples)})

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        while not self._stopping.is_set():
            try:
                if not self.tick():
                    self.queue.wait(IDLE_SECONDS)
            except Exception:
                log.exception("a tick failed; its orders are failed and the engine goes on")
                for sample in self._samples:
                    sample.ticket.fail(ErrorCode.INTERNAL, "The worker failed while making this image.")

    @torch.inference_mode()
    def tick(self) -> bool:
        """Admit who waits, then advance one group of samples by one step. False when there was nothing to do."""
        for sample in self._samples:
            sample.ticket.expire()
        self._samples = [sample for sample in self._samples if not sample.is_dead]
        self._admit()
        batch = self._pick()
        if not batch:
            return False
        self._tick += 1
        self._advance(batch)
        return True

    # --- admission ---

    def _admit(self) -> None:
        """Begin waiting orders in the queue's order while there is room for all their rows."""
        while (ticket := self.queue.peek()) is not None:
            rows = ticket.request.rows_per_image * ticket.order.images
            if self._samples and sum(sample.rows for sample in self._samples) + rows > self._max_rows:
                return
            bucket = self._choose_bucket(ticket)
            self.queue.take(ticket)
            try:
                self._samples += self._begin(ticket, bucket)
            except Exception as error:
                log.error("an order could not begin: %s", type(error).__name__)
                ticket.fail(*_explain(error))
            else:
                ticket.tell(Started(steps=ticket.order.steps))

    def _choose_bucket(self, ticket: Ticket) -> int:
        """The pinned bucket; else one in use that has room; else one as large as the crowd that is here already.

        A single order in an empty worker pays for no row it does not use. A crowd that comes at once shares one call;
        one that gathers doubles its calls (2, 2, 4, 8 rows ...) and, where it stays, moves into the largest. When it is
        gone nobody has to join its large bucket.
        """
        if ticket.order.bucket is not None:
            return ticket.order.bucket
        wanted = ticket.request.rows_per_image * ticket.order.images
        peers = [sample for sample in self._samples if _can_share(sample.ticket, ticket)]
        here = sum(sample.rows for sample in peers)
        others = [other for other in self.queue.waiting()[: self._max_rows] if _can_share(other, ticket)]
        coming = max(sum(other.request.rows_per_image * other.order.images for other in others), wanted)
        for bucket in sorted({sample.bucket for sample in peers}, reverse=True):
            filled = wanted + sum(sample.rows for sample in peers if sample.bucket == bucket)
            if filled <= bucket and (bucket <= self._smallest(here + coming) or 2 * filled >= bucket):
                return bucket
        return self._smallest(max(here, coming))

    def _smallest(self, rows: int) -> int:
        rows = min(rows, self._max_rows)
        return next((bucket for bucket in self._buckets if bucket >= rows), self._buckets[-1])

    def _begin(self, ticket: Ticket, bucket: int) -> list[Sample]:
        order, model = ticket.order, ticket.request.model
        texts = [self._encode(model, order.prompt)]
        if order.guidance_scale > 1:
            texts.insert(0, self._encode(model, order.negative_prompt))
        if levels.can_act(order.safety.sld_level, order.guidance_scale):
            texts.append(self._encode(model, levels.SAFETY_CONCEPT))
        embeddings = torch.cat(texts)
        return [begin(ticket, index, bucket, embeddings) for index in range(order.images)]

    def _encode(self, model: Model, text: str) -> Tensor:
        """(1, token, channel) text embeddings. Only texts that are the server's own are remembered."""
        if text not in {"", levels.SAFETY_CONCEPT}:
            return encode(model, text)
        key = (model.state.digest, text)
        if key not in self._constant_embeddings:
            self._constant_embeddings[key] = encode(model, text)
        return self._constant_embeddings[key]

    # --- one tick ---

    def _pick(self) -> list[Sample]:
        """Samples of one group that fit into its bucket, those that waited longest first."""
        waiting = sorted(self._samples, key=lambda sample: sample.served_at)
        batch: list[Sample] = []
        free = waiting[0].bucket if waiting else 0
        for sample in waiting:
            if sample.group == waiting[0].group and sample.rows <= free:
                batch.append(sample)
                free -= sample.rows
        return batch

    def _advance(self, batch: list[Sample]) -> None:
        """One denoiser call and one sampler step for each sample of the batch."""
        began = time.perf_counter()
        try:
            predictions = denoise(batch)
        except Exception as error:
            self._advance_apart(batch, error)
            return
        for sample, prediction in zip(batch, predictions, strict=True):
            sample.served_at = self._tick
            try:
                take_step(sample, prediction)
            except Exception as error:  # a poisoned request fails alone
                log.error("a step failed: %s", type(error).__name__)
                sample.ticket.fail(*_explain(error))
        seconds = (time.perf_counter() - began) / sum(sample.rows for sample in batch)
        for sample in batch:
            sample.ticket.charge(seconds * sample.rows)
        self._report(batch)

    def _advance_apart(self, batch: list[Sample], error: Exception) -> None:
        """A call failed: find out whose fault it is by making one call for each, with the same number of rows."""
        if len(batch) == 1:
            log.error("a denoiser call failed: %s", type(error).__name__)
            batch[0].ticket.fail(*_explain(error))
            return
        for sample in batch:
            self._advance([sample])

    def _report(self, batch: list[Sample]) -> None:
        for ticket in {id(sample.ticket): sample.ticket for sample in batch}.values():
            slowest = min((s for s in self._samples if s.ticket is ticket), key=lambda s: s.step, default=None)
            if slowest is not None:
                steps = ticket.order.steps
                ticket.step(slowest.step * steps // len(slowest.timesteps), steps)
        finished = [sample for sample in batch if sample.step == len(sample.timesteps) and not sample.is_dead]
        for sample in finished:
            self._samples.remove(sample)
            self._release.submit(
                Making(
                    ticket=sample.ticket,
                    index=sample.index,
                    pixels=partial(decode, sample.ticket.request.model, sample.latents),
                    bucket=sample.bucket,
                    scheduler=sample.ticket.request.scheduler,
                    dtype=dtype_name(sample.ticket.request.model.dtype),
                )
            )


def _can_share(one: Ticket, other: Ticket) -> bool:
    """Whether images of two orders could stand in one call."""
    a, b = one.request, other.request
    return a.model is b.model and (a.width, a.height) == (b.width, b.height)


def _explain(error: Exception) -> tuple[ErrorCode, str]:
    match error:
        case NotFinite():
            return ErrorCode.NOT_FINITE, "The model produced values that are not numbers for this order."
        case torch.OutOfMemoryError() | MemoryError():
            return ErrorCode.OUT_OF_MEMORY, "The worker ran out of memory; try a smaller size or fewer images."
        case _:
            return ErrorCode.INTERNAL, "The worker failed while making this image."
