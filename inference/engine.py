"""The step engine: one denoiser call per tick, with rows of several images, each at its own step of its own sampler.

An image holds its scheduler, generator, latents and SLD momentum; only the denoiser call is shared. Every call has a
fixed number of rows, the image's *bucket*; unused rows are zeros. On one machine the denoiser's answer for a row
depends on the number of rows but not on what the others hold or on the row's position, so an image made alone and the
same image made among others are equal bit for bit when their buckets are equal. The bucket is chosen at admission by
load, kept for the image's life, written into the receipt, and can be pinned by the order. The sampler's arithmetic is
each image's own. Text encoding and decoding are shared only in sizes proven to change no bit; see `batching`.

All torch work of the engine happens in its one thread; decoding and checking happen beside it, in `release`.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

import torch

from inference.batching import in_sizes
from inference.contract import ErrorCode, Started
from inference.decoding import Decoding
from inference.denoising import NotFinite, Sample, begin, denoise, dtype_name, take_step
from inference.fleet import Model
from inference.queue import FairQueue
from inference.release import FloatImage, Making, Release
from inference.texts import Conditioning, encode_all, join, texts_of
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
        admitted: list[Ticket] = []
        rows = sum(sample.rows for sample in self._samples)
        while (ticket := self.queue.peek()) is not None:
            wanted = ticket.request.rows_per_image * ticket.order.images
            if rows and rows + wanted > self._max_rows:
                break
            self.queue.take(ticket)
            admitted.append(ticket)
            rows += wanted
        encoded = self._encode(admitted)
        for place, ticket in enumerate(admitted):
            try:
                self._begin(ticket, encoded, company=[*admitted[place:], *self.queue.waiting()])
            except Exception as error:
                log.error("an order could not begin: %s", type(error).__name__)
                ticket.fail(*_explain(error))

    def _encode(self, tickets: list[Ticket]) -> dict[int, dict[str, Conditioning]]:
        """Conditioning by model (its `id`) and text, the texts of all orders together. A failure leaves a model out."""
        texts: dict[int, set[str]] = {}
        models: dict[int, Model] = {}
        for ticket in tickets:
            model = ticket.request.model
            models[id(model)] = model
            texts.setdefault(id(model), set()).update(texts_of(ticket))
        encoded = {}
        for key, model in models.items():
            try:
                encoded[key] = encode_all(model, texts[key])
            except Exception as error:
                log.error("texts could not be encoded together: %s", type(error).__name__)
        return encoded

    def _begin(self, ticket: Ticket, encoded: dict[int, dict[str, Conditioning]], *, company: list[Ticket]) -> None:
        model, texts = ticket.request.model, texts_of(ticket)
        rows = encoded.get(id(model)) or encode_all(model, set(texts))
        conditioning = join([rows[text] for text in texts])
        bucket = self._choose_bucket(ticket, company)
        self._samples += [begin(ticket, index, bucket, conditioning) for index in range(ticket.order.images)]
        ticket.tell(Started(steps=ticket.order.steps))

    def _choose_bucket(self, ticket: Ticket, company: list[Ticket]) -> int:
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
        others = [other for other in company[: self._max_rows] if _can_share(other, ticket)]
        coming = max(sum(other.request.rows_per_image * other.order.images for other in others), wanted)
        for bucket in sorted({sample.bucket for sample in peers}, reverse=True):
            filled = wanted + sum(sample.rows for sample in peers if sample.bucket == bucket)
            if filled <= bucket and (bucket <= self._smallest(here + coming) or 2 * filled >= bucket):
                return bucket
        return self._smallest(max(here, coming))

    def _smallest(self, rows: int) -> int:
        rows = min(rows, self._max_rows)
        return next((bucket for bucket in self._buckets if bucket >= rows), self._buckets[-1])

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
            else:
                self._preview(sample)
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
                ticket.step(slowest.steps_done, ticket.order.steps)
        finished = [sample for sample in batch if sample.step == len(sample.timesteps) and not sample.is_dead]
        for sample in finished:
            self._samples.remove(sample)
        sizes = _decoding_sizes(finished[0]) if finished else (1,)
        for group in in_sizes(finished, sizes):
            self._hand_over(group)

    def _hand_over(self, group: list[Sample]) -> None:
        """Let finished images be decoded together, checked and released."""
        decoding = Decoding(group[0].ticket.request.model, torch.cat([sample.latents for sample in group]))
        for place, sample in enumerate(group):
            self._release.submit(_making(sample, partial(decoding.pixels, place)))

    def _preview(self, sample: Sample) -> None:
        """Let a look at an image in the making be decoded, checked and sent, if one is due."""
        if sample.look is not None:
            decoding = Decoding(sample.ticket.request.model, sample.look)
            self._release.preview(_making(sample, partial(decoding.pixels, 0)), sample.steps_done)


def _making(sample: Sample, pixels: Callable[[], FloatImage]) -> Making:
    request = sample.ticket.request
    return Making(
        ticket=sample.ticket,
        index=sample.index,
        pixels=pixels,
        bucket=sample.bucket,
        scheduler=str(request.scheduler),
        dtype=dtype_name(request.model.dtype),
        sld_effect=sample.sld_effect,
    )


def _decoding_sizes(sample: Sample) -> tuple[int, ...]:
    """How many images like this one may be decoded in one call: proven for the model's default size only."""
    request = sample.ticket.request
    is_default = (request.width, request.height) == (request.model.default_width, request.model.default_height)
    return request.model.image_sizes if is_default else (1,)


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
