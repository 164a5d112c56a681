"""The step engine: one denoiser call per tick, with rows of several images, each at its own step of its own sampler.

An image holds its scheduler, generator, latents and SLD momentum; only the denoiser call is shared. Every call has a
fixed number of rows, the image's *bucket*; unused rows are zeros. On one machine the denoiser's answer for a row
depends on the number of rows but not on what the others hold or on the row's position, so an image made alone and the
same image made among others are equal bit for bit when their buckets are equal. The bucket is chosen at admission by
load, kept for the image's life, written into the receipt, and can be pinned by the order; an image that has made few
steps may begin again in a larger one. The sampler's arithmetic is each image's own. Text encoding and decoding are
shared only in sizes proven to change no bit; see `batching`.

All torch work of the engine happens in its one thread; decoding and checking happen beside it, in `release`.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable

import torch

from inference.buckets import Buckets, TooLarge, orders_in_hand, rows_of, young_orders
from inference.contract import ErrorCode, Started
from inference.decoding import finished_images, look_at
from inference.denoising import NotFinite, Sample, begin, begin_again, denoise, take_step
from inference.memory import is_out_of_memory, reclaim
from inference.queue import FairQueue
from inference.release import Release
from inference.shares import Shares
from inference.texts import Conditioning, encode_all, encode_orders, join, texts_of
from inference.ticket import Ticket

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5
CROWDED = 3  # times max_rows: how many rows may be in the making when heavy users have to share with light ones


class Engine:
    """Runs the samples of all orders. `queue` is shared with the server's threads, everything else is the engine's own.

    buckets      row counts a call may have
    max_rows     rows in the making at once; orders beyond it wait in the queue, but see `_next`
    spare_bytes  memory that calls may take now
    clock        real time in seconds
    """

    def __init__(
        self,
        queue: FairQueue,
        release: Release,
        *,
        buckets: tuple[int, ...],
        max_rows: int,
        threads: int = 1,
        spare_bytes: Callable[[], int] = lambda: sys.maxsize,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.queue = queue
        self._release = release
        self._buckets = Buckets(buckets, max_rows=max_rows, spare_bytes=spare_bytes)
        self._shares = Shares(clock=clock)
        self._clock = clock
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
        self._keep([sample for sample in self._samples if not sample.is_dead])
        self._admit()
        batch = self._pick()
        if not batch:
            return False
        self._tick += 1
        self._advance(batch)
        return True

    # --- admission ---

    def _keep(self, samples: list[Sample]) -> None:
        """From now on only these are in the making."""
        gone = {_person(sample) for sample in self._samples} - {_person(sample) for sample in samples}
        self._samples = samples
        for person in gone:
            self._shares.leave(person)

    def _admit(self) -> None:
        """Begin waiting orders in the queue's order while there is room for them."""
        admitted: list[Ticket] = []
        while (ticket := self._next(admitted)) is not None:
            self.queue.take(ticket)
            admitted.append(ticket)
        encoded = encode_orders(admitted)
        young = young_orders(self._samples) if admitted else {}
        self._samples = [sample for sample in self._samples if id(sample.ticket) not in young]
        line = [*(samples[0].ticket for samples in young.values()), *admitted]
        for place, ticket in enumerate(line):
            waiting = [*line[place:], *self.queue.waiting()]
            try:
                if samples := young.get(id(ticket), []):
                    self._samples += self._gathered(samples, waiting)
                else:
                    self._begin(ticket, encoded, waiting)
            except Exception as error:
                log.error("an order could not begin: %s", type(error).__name__)
                ticket.fail(*explain(error))

    def _gathered(self, samples: list[Sample], waiting: list[Ticket]) -> list[Sample]:
        """A young order's images: as they are, or from their beginning in the larger bucket that they now would get.

        Whatever stands against that, they go on as they are: nobody who comes may end an order in the making.
        """
        try:
            bucket = self._buckets.choose(samples[0].ticket, self._samples, waiting)
            small = [sample for sample in samples if sample.bucket < bucket]
            return [sample for sample in samples if sample not in small] + begin_again(small, bucket)
        except Exception as error:
            log.info("an order stays in its bucket: %s", type(error).__name__)
            return samples

    def _next(self, admitted: list[Ticket]) -> Ticket | None:
        """The first in the line, if all its rows find room; else the first of a light user.

        A person with nothing in the making need not wait for room that is filled by one who has more than one order in
        hand: theirs begins beside them, and who is served at each step is decided by `Shares`. Nothing of it takes
        much memory.
        """
        ticket = self.queue.peek()
        if ticket is None:
            return None
        rows = sum(sample.rows for sample in self._samples) + sum(map(rows_of, admitted))
        if not rows or rows + rows_of(ticket) <= self._max_rows:
            return ticket
        making = orders_in_hand(self._samples, admitted)
        is_shared = any(orders + self.queue.count(person) > 1 for person, orders in making.items())
        light = self.queue.peek(passing_over=making.keys()) if is_shared else None
        return light if light is not None and rows + rows_of(light) <= CROWDED * self._max_rows else None

    def _begin(self, ticket: Ticket, encoded: dict[int, dict[str, Conditioning]], waiting: list[Ticket]) -> None:
        order, model, texts = ticket.order, ticket.request.model, texts_of(ticket)
        rows = encoded.get(id(model)) or encode_all(model, set(texts))
        conditioning = join([rows[text] for text in texts])
        bucket = self._buckets.choose(ticket, self._samples, waiting)
        self._samples += [begin(ticket, index, bucket, conditioning) for index in range(order.images)]
        self._shares.enter(order.person_key, order.weight)
        ticket.tell(Started(steps=order.steps))

    # --- one tick ---

    def _pick(self) -> list[Sample]:
        """Samples of one group that fit into its bucket: whose turn it is, and those that go along at no cost."""
        in_hand = orders_in_hand(self._samples, [])
        turns = {
            person: self._shares.turn(person, orders=making + self.queue.count(person))
            for person, making in in_hand.items()
        }
        waiting = sorted(self._samples, key=lambda sample: (turns[_person(sample)], sample.served_at))
        batch: list[Sample] = []
        free = waiting[0].bucket if waiting else 0
        for sample in waiting:
            if sample.group == waiting[0].group and sample.rows <= free:
                batch.append(sample)
                free -= sample.rows
        return batch

    def _advance(self, batch: list[Sample]) -> None:
        """One denoiser call and one sampler step for each sample of the batch."""
        began = self._clock()
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
                sample.ticket.fail(*explain(error))
            else:
                self._preview(sample)
        seconds = (self._clock() - began) / sum(sample.rows for sample in batch)
        for sample in batch:
            sample.seconds += seconds * sample.rows
            sample.ticket.charge(seconds * sample.rows)
            self._shares.charge(_person(sample), seconds * sample.rows)
        self._report(batch)

    def _advance_apart(self, batch: list[Sample], error: Exception) -> None:
        """A call failed. For want of memory: its images begin again in half the bucket, so that the receipt's bucket
        is true for all their steps. Otherwise, or where there is none: find out whose fault it is, one call for each.
        """
        log.error("a denoiser call of %d rows failed: %s", batch[0].bucket, type(error).__name__)
        stuck = batch
        if is_out_of_memory(error):
            reclaim(batch[0].ticket.request.model.device)
            stuck = [sample for sample in batch if not self._begins_again(sample)]
        if len(stuck) == len(batch) == 1:
            stuck[0].ticket.fail(*explain(error))
            return
        for sample in stuck:
            self._advance([sample])

    def _begins_again(self, sample: Sample) -> bool:
        """Whether the same image has begun anew in a smaller bucket; one for which that fails is over, alone."""
        bucket = self._buckets.after_failure(sample)
        if bucket is None:
            return False
        try:
            [again] = begin_again([sample], bucket)
            self._samples[self._samples.index(sample)] = again
        except Exception as error:
            log.error("an image could not begin again: %s", type(error).__name__)
            sample.ticket.fail(*explain(error))
        return True

    def _report(self, batch: list[Sample]) -> None:
        for ticket in {id(sample.ticket): sample.ticket for sample in batch}.values():
            slowest = min((s for s in self._samples if s.ticket is ticket), key=lambda s: s.step, default=None)
            if slowest is not None:
                ticket.step(slowest.steps_done, ticket.order.steps)
        finished = [sample for sample in batch if sample.step == len(sample.timesteps) and not sample.is_dead]
        self._keep([sample for sample in self._samples if sample not in finished])
        for making in finished_images(finished):
            self._release.submit(making)

    def _preview(self, sample: Sample) -> None:
        """Let a look at an image in the making be decoded, checked and sent, if one is due."""
        if sample.look is not None:
            self._release.submit(look_at(sample, sample.look))


def _person(sample: Sample) -> str:
    return sample.ticket.order.person_key


def explain(error: Exception) -> tuple[ErrorCode, str]:
    """Why an order failed, for the one who ordered."""
    match error:
        case NotFinite():
            return ErrorCode.NOT_FINITE, "The model produced values that are not numbers for this order."
        case TooLarge():
            return ErrorCode.OUT_OF_MEMORY, str(error)
        case _ if is_out_of_memory(error):
            return ErrorCode.OUT_OF_MEMORY, "The worker ran out of memory; try a smaller size or fewer images."
        case _:
            return ErrorCode.INTERNAL, "The worker failed while making this image."
