"""The models this worker holds: loading them in the background, finding them by digest, saying how far each is.

Where a new one finds no room, the one that was not ordered for longest goes: new orders for it are told that it is not
here (and the web process sends its manifest again), those it has are finished, and then its memory is free.
"""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from inference.contract import ErrorCode, LoadPhase, ModelManifest, ModelState, Scheduler
from inference.room import Room
from inference.safety.verdict import CheckerError, GuardedChecker
from inference.watch import LoadWatch, StateWatch

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
GRACE_SECONDS = 5.0  # within which the order that a model was loaded for comes for it


class NoRoom(Exception):
    """A model does not fit, even if every other that may go is gone; the message is for a person."""


class NotAtHand(Exception):
    """A file is not in the store now; the message is for the maintainer and names it."""


class ModelRefused(Exception):
    """The manifest breaks a rule of the loader; the message is for the maintainer and names the file."""


@dataclass(frozen=True, eq=False)
class Way:
    """How a denoiser is called (None: as it is), and how the receipt says it."""

    call: Callable[..., Any] | None = None
    kernels: str = ""


@dataclass(frozen=True, eq=False)
class Model:
    """A model that is ready to make images, with the server's checker attached.

    parts             modules and tokenizer by place; None in the fake
    scheduler_config  the repository's own, the base of each image's sampler
    weights           sha256 by path of each weight file read
    default_scheduler None: the model runs with the sampler it was published with and no other
    text_sizes        how many texts may be encoded in one call without a change of bits; `batching` proves it
    image_sizes       how many images of the default size may be decoded in one call, likewise
    zeros_for_empty   where there is no negative prompt, zeros stand for it, and not the encoding of an empty text
    memory            encodings of the server's own texts
    way, fast         how the step engine calls the denoiser: in any shape, and in those that were prepared when it was
                      loaded, which are the default size in `fast_buckets`
    held_bytes        what its weights take
    row_bytes         what one denoiser row of the default size takes at the peak of a call; image_bytes: one decoding
    """

    state: ModelState
    manifest: ModelManifest
    weights: dict[str, str]
    checker: GuardedChecker | None
    default_width: int
    default_height: int
    side_multiple: int
    default_scheduler: Scheduler | None
    scheduler_config: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    pipeline: str = ""
    device: str = "cpu"
    dtype: Any = None
    text_sizes: tuple[int, ...] = (1,)
    image_sizes: tuple[int, ...] = (1,)
    zeros_for_empty: bool = False
    takes_negative_prompt: bool = True
    memory: dict[str, Any] = field(default_factory=dict)
    way: Way = Way()
    fast: Way = Way()
    fast_buckets: frozenset[int] = frozenset()
    held_bytes: int = 0
    row_bytes: int = 0
    image_bytes: int = 0

    def way_of(self, bucket: int | None, width: int, height: int) -> Way:
        """How calls of this shape are made. No order's odd size compiles or records anything while others wait."""
        is_default = (width, height) == (self.default_width, self.default_height)
        return self.fast if is_default and bucket in self.fast_buckets else self.way

    def call_bytes(self, rows: int, width: int, height: int) -> int:
        """Estimate of what a denoiser call, and a decoding beside it, take at their peaks."""
        share = width * height / (self.default_width * self.default_height)
        return int((rows * self.row_bytes + self.image_bytes) * share)


class Builder(Protocol):
    """Makes a model from a manifest in a private directory; runs in a thread of its own."""

    def __call__(self, manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
        """Raises ModelRefused or CheckerError for a model that must not run, NotAtHand or NoRoom if it yet may."""
        ...


class Fleet:
    """Models by manifest digest. Used from the server's event loop; building happens in one thread at a time.

    room           what memory there is
    pinned         names of repositories whose models are never evicted
    is_in_use      whether orders for a model (by digest) are being carried out; may be called from the loop only
    on_ready       hears of every model that was loaded, in a thread of its own
    grace_seconds  how long a model that is ready waits for its first order before it makes room for another
    """

    def __init__(
        self,
        build: Builder,
        *,
        work_dir: Path | None = None,
        room: Room | None = None,
        pinned: frozenset[str] = frozenset(),
        is_in_use: Callable[[str], bool] = lambda digest: False,
        on_ready: Callable[[ModelManifest], None] = lambda manifest: None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._build = build
        self._work_dir = work_dir
        self._room = room or Room(sys.maxsize)
        self._pinned = pinned
        self.is_in_use = is_in_use
        self._on_ready = on_ready
        self._grace_seconds = grace_seconds
        self._models: dict[str, Model] = {}
        self._ready_at: dict[str, float] = {}
        self._found_at: dict[str, float] = {}  # when each was last ordered
        self._states: dict[str, ModelState] = {}
        self._changed: dict[str, asyncio.Condition] = {}
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def states(self) -> tuple[ModelState, ...]:
        """Every model that is here, is coming, or could not be loaded, in the order of arrival."""
        instant, ago = datetime.now(UTC), time.monotonic()
        used = {digest: instant - timedelta(seconds=ago - found_at) for digest, found_at in self._found_at.items()}
        return tuple(
            state.model_copy(update={"last_used_at": used[digest]}) if digest in used else state
            for digest, state in self._states.items()
        )

    def find(self, digest: str) -> Model | ModelState | None:
        """The model if it is ready, else how far it is, else None. May be called from any thread."""
        if digest in self._models:
            self._found_at[digest] = time.monotonic()
        return self._models.get(digest) or self._states.get(digest)

    async def load(self, manifest: ModelManifest) -> AsyncIterator[ModelState]:
        """Start loading unless that happened already, and follow the states up to ready or failed.

        Leaving the iterator does not stop the loading. A failed model is tried again.
        """
        digest = manifest.digest
        state = self._states.get(digest)
        if state is None or state.phase is LoadPhase.FAILED:
            self._changed[digest] = asyncio.Condition()
            self._states[digest] = ModelState(
                digest=digest,
                repository=manifest.repository,
                commit=manifest.commit,
                phase=LoadPhase.VERIFYING,
                is_pinned=manifest.repository in self._pinned,
            )
            task = asyncio.create_task(self._load(manifest, digest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        changed = self._changed[digest]
        while True:
            state = self._states[digest]
            yield state
            if state.phase in {LoadPhase.READY, LoadPhase.FAILED}:
                return
            async with changed:
                while self._states[digest] is state:
                    await changed.wait()

    async def _load(self, manifest: ModelManifest, digest: str) -> None:
        loop = asyncio.get_running_loop()

        def make_room(size_bytes: int) -> None:  # called in the loading thread
            asyncio.run_coroutine_threadsafe(self._make_room(digest, size_bytes), loop).result()

        watch = StateWatch(loop, lambda change: self._set(digest, change), make_room)
        async with self._one_at_a_time:
            try:
                model = await asyncio.to_thread(self._build_apart, manifest, watch)
                await self._make_room(digest, model.held_bytes)
            except (ModelRefused, CheckerError) as error:
                log.warning("model %s refused: %s", manifest.repository, error)
                self._fail(digest, ErrorCode.MODEL_REFUSED, str(error))
            except NoRoom as error:
                log.warning("model %s: %s", manifest.repository, error)
                self._fail(digest, ErrorCode.OUT_OF_MEMORY, str(error))
            except MemoryError:
                self._fail(digest, ErrorCode.OUT_OF_MEMORY, "The model does not fit into memory.")
            except NotAtHand as error:
                log.warning("model %s: %s", manifest.repository, error)
                self._fail(digest, ErrorCode.INTERNAL, str(error))
            except Exception:
                log.exception("model %s could not be loaded", manifest.repository)
                self._fail(digest, ErrorCode.INTERNAL, "The model could not be loaded; the worker's log says why.")
            else:
                self._models[digest], self._ready_at[digest] = model, time.monotonic()
                kept = {"bytes_verified", "bytes_total", "is_pinned", "memory_bytes"}
                self._set(digest, {**model.state.model_dump(exclude=kept), "memory_bytes": model.held_bytes})
                log.info("model %s at %s is ready", manifest.repository, manifest.commit[:12])
                await asyncio.to_thread(self._on_ready, manifest)
            finally:
                if digest not in self._models:
                    self._room.release(digest)

    def _build_apart(self, manifest: ModelManifest, watch: LoadWatch) -> Model:
        """The model, built in a directory of its own, of mode 0700."""
        with tempfile.TemporaryDirectory(prefix="model-", dir=self._work_dir, ignore_cleanup_errors=True) as directory:
            return self._build(manifest, Path(directory), watch)

    async def _make_room(self, digest: str, size_bytes: int) -> None:
        """Evict until a model of this size fits, and hold its place. Raises NoRoom."""
        while not self._room.fits(digest, size_bytes):
            free_to_go = [key for key in self._models if not self._states[key].is_pinned]
            if not self._room.fits(digest, size_bytes, without=free_to_go):  # nobody goes in vain
                raise NoRoom(
                    f"The model needs {size_bytes / 2**30:.1f} GiB, which this worker does not have"
                    f"{' beside the pinned models' if self._models else ''}."
                )
            await self._evict(min(free_to_go, key=lambda key: self._found_at.get(key, self._ready_at[key])))
        self._room.hold(digest, size_bytes)

    async def _evict(self, digest: str) -> None:
        """Let a model go, after the orders that it has.

        The order that it was loaded for is still on its way when it is ready: without the grace, two models that do not
        fit together would evict each other before either made an image.
        """
        stays_until = self._ready_at[digest] + self._grace_seconds
        while digest not in self._found_at and time.monotonic() < stays_until:  # noqa: ASYNC110 - found in other threads
            await asyncio.sleep(_POLL_SECONDS)
        state = self._states.pop(digest)
        del self._models[digest]
        del self._ready_at[digest]
        self._found_at.pop(digest, None)
        log.info("model %s at %s makes room", state.repository, state.commit[:12])
        while self.is_in_use(digest):  # noqa: ASYNC110 - orders end in other threads, which know no event loop
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self._room.release, digest)

    def _fail(self, digest: str, code: ErrorCode, message: str) -> None:
        self._set(digest, {"phase": LoadPhase.FAILED, "error": code, "message": message})

    def _set(self, digest: str, change: dict[str, Any]) -> None:
        state = self._states[digest]
        if state.phase in {LoadPhase.READY, LoadPhase.FAILED}:
            return  # a progress report that was overtaken
        self._states[digest] = ModelState.model_validate({**state.model_dump(), **change})
        changed = self._changed[digest]

        async def notify() -> None:
            async with changed:
                changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
