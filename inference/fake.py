"""A stand-in for the models, for tests of the web process: no torch, the rest real.

The contract, signatures, limits, screening, queue, check and receipts are the worker's own; only the pixels are made
up: a pattern that depends on prompt and seed, with a visible mark. Words in the prompt steer it:

    fake-flag     the checker finds its concept         fake-nan       the image holds NaN
    fake-fail     the model fails                       fake-hang      no step is ever finished
    fake-check    the checker raises                    fake-slow      each step takes a tenth of a second
    fake-crash    the whole process dies

It never starts by accident: `INFERENCE_FAKE=1` must say so.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw

from inference.contract import (
    ConceptScore,
    ErrorCode,
    LoadPhase,
    ModelManifest,
    ModelState,
    ReaderFacts,
    Reading,
    Scheduler,
    Started,
)
from inference.fleet import Model
from inference.line import FloatImage, Making
from inference.queue import FairQueue
from inference.release import Release
from inference.safety.verdict import GuardedChecker, Verdict
from inference.ticket import Ticket
from inference.watch import LoadWatch

log = logging.getLogger(__name__)

CHECKER_SHA256 = hashlib.sha256(b"fake checker").hexdigest()
CONCEPT = "fake-flag"
_FLAGGED = (255, 0, 255)  # color of the corner pixel by which the fake checker knows what to say
_BROKEN = (255, 255, 0)
_LAST_WORD_SECONDS = 0.05  # in which it is told that an order began, as long before a denoiser could crash


class FakeChecker:
    """Finds what `paint` marked."""

    sha256: str = CHECKER_SHA256
    concepts: tuple[str, ...] = (CONCEPT,)
    version: str = "fake"

    def check(self, images: list[PIL.Image.Image], margin: float) -> list[Verdict]:
        """A score of 0.1 for marked images, -0.1 for others. Raises RuntimeError for broken ones."""
        return [self._verdict(image, margin) for image in images]

    def _verdict(self, image: PIL.Image.Image, margin: float) -> Verdict:
        corner = image.getpixel((0, 0))
        if corner == _BROKEN:
            raise RuntimeError("the fake checker was told to fail")
        score = (0.1 if corner == _FLAGGED else -0.1) + margin
        return Verdict((ConceptScore(concept=CONCEPT, score=score),))


class FakeReader:
    """Embeds an image as the colors of its tiles, and has no labels."""

    facts = ReaderFacts(sha256=hashlib.sha256(b"fake reader").hexdigest(), name="fake reader", dimensions=27)

    def read(self, images: Sequence[PIL.Image.Image]) -> list[Reading]:
        """The tiles that `paint` made, with length 1."""
        return [Reading(embedding=_tiles(image)) for image in images]


class FakeLane:
    """Makes an order's steps by waiting, one order after another."""

    def __init__(self, queue: FairQueue, release: Release) -> None:
        self.queue = queue
        self._release = release
        self._current: Ticket | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake", daemon=True)

    @property
    def running(self) -> int:
        """Orders in the making: none or one."""
        return int(self._current is not None)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """Stop within a step."""
        self._stopping.set()
        self.queue.wake()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            ticket = self.queue.peek()
            if ticket is None:
                self.queue.wait(0.5)
                continue
            self.queue.take(ticket)
            self._current = ticket
            self._make(ticket)
            self._current = None

    def _make(self, ticket: Ticket) -> None:
        order = ticket.order
        ticket.tell(Started(steps=order.steps))
        if "fake-crash" in order.prompt:
            time.sleep(_LAST_WORD_SECONDS)
            os._exit(70)
        if "fake-fail" in order.prompt:
            ticket.fail(ErrorCode.INTERNAL, "The worker failed while making this image.")
        step = 0
        while step < order.steps and not (ticket.is_over or ticket.expire() or self._stopping.is_set()):
            time.sleep(0.1 if "fake-slow" in order.prompt else 0.001)
            if "fake-hang" not in order.prompt:
                step += 1
                ticket.step(step, order.steps)
                if order.wants_preview(step):
                    for index in range(order.images):
                        self._release.submit(self._making(ticket, index, look=step))
        if ticket.is_over:
            return
        if self._stopping.is_set():
            ticket.fail(ErrorCode.CANCELLED, "The worker is shutting down.")
            return
        ticket.charge(0.001 * order.steps)
        for index in range(order.images):
            self._release.submit(self._making(ticket, index))

    def _making(self, ticket: Ticket, index: int, *, look: int | None = None) -> Making:
        request = ticket.request
        return Making(
            ticket=ticket,
            index=index,
            pixels=lambda: paint(request.order.prompt, request.seed(index), request.width, request.height),
            bucket=request.order.bucket or request.rows_per_image,
            scheduler=str(request.scheduler),
            dtype="float32",
            look=look,
        )


def build_fake(manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
    """A model from any manifest, without reading its files."""
    watch.expect(sum(file.size_bytes for file in manifest.files))
    watch.verified(sum(file.size_bytes for file in manifest.files))
    watch.building()
    checker = GuardedChecker(FakeChecker(), timeout_seconds=5)
    state = ModelState(
        digest=manifest.digest,
        repository=manifest.repository,
        commit=manifest.commit,
        phase=LoadPhase.READY,
        pipeline="FakePipeline",
        engine="step",
        default_width=64,
        default_height=64,
        default_scheduler=Scheduler.DPMPP_2M,
        checker_sha256=checker.sha256,
        concepts=checker.concepts,
        dtype="float32",
    )
    weights = {file.path: file.sha256 for file in manifest.files if file.path.endswith(".safetensors")}
    return Model(
        state=state,
        manifest=manifest,
        weights=weights,
        checker=checker,
        default_width=64,
        default_height=64,
        side_multiple=4,
        default_scheduler=Scheduler.DPMPP_2M,
        pipeline="FakePipeline",
    )


def _tiles(image: PIL.Image.Image) -> tuple[float, ...]:
    tiles = np.asarray(image.resize((3, 3), PIL.Image.Resampling.BOX), dtype=np.float32).reshape(-1) + 1
    return tuple((tiles / np.linalg.norm(tiles)).tolist())


def paint(prompt: str, seed: int, width: int, height: int) -> FloatImage:
    """(3, height, width) in [0, 1]: colored tiles from the prompt's digest, crossed by a line that says it is fake."""
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode("utf-8", "surrogatepass")).digest()
    tiles = np.frombuffer(digest[:27], dtype=np.uint8).reshape(3, 3, 3)
    picture = PIL.Image.fromarray(tiles).resize((width, height), PIL.Image.Resampling.NEAREST)
    draw = PIL.ImageDraw.Draw(picture)
    draw.line([(0, height - 1), (width - 1, 0)], fill=(255, 255, 255), width=2)
    draw.text((2, height // 2), "FAKE", fill=(0, 0, 0))
    corner = {"fake-flag": _FLAGGED, "fake-check": _BROKEN}
    for word, color in corner.items():
        if word in prompt:
            picture.putpixel((0, 0), color)
    pixels: FloatImage = np.asarray(picture, dtype=np.float32).transpose(2, 0, 1) / np.float32(255)
    return np.full_like(pixels, np.nan) if "fake-nan" in prompt else pixels
