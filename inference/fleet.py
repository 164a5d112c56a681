"""The models this worker holds: loading them in the background, finding them by digest, saying how far each is."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from inference.contract import ErrorCode, LoadPhase, ModelManifest, ModelState, Scheduler
from inference.safety.verdict import CheckerError, GuardedChecker

log = logging.getLogger(__name__)


class ModelRefused(Exception):
    """The manifest breaks a rule of the loader; the message is for the maintainer and names the file."""


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


class LoadWatch:
    """Hears how far a load is, from the loading thread. This one lets it pass."""

    def expect(self, total_bytes: int) -> None:
        """So many bytes are going to be verified."""

    def verified(self, count: int) -> None:
        """So many more bytes have been verified."""

    def building(self) -> None:
        """All files are verified; the parts are built next."""


class Builder(Protocol):
    """Makes a model from a manifest in a private directory; runs in a thread of its own."""

    def __call__(self, manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
        """Raises ModelRefused or CheckerError for a model that must not run."""
        ...


class Fleet:
    """Models by manifest digest. Used from the server's event loop; building happens in one thread at a time."""

    def __init__(self, build: Builder, *, work_dir: Path | None = None) -> None:
        self._build = build
        self._work_dir = work_dir
        self._models: dict[str, Model] = {}
        self._states: dict[str, ModelState] = {}
        self._changed: dict[str, asyncio.Condition] = {}
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def states(self) -> tuple[ModelState, ...]:
        """Every model ever ordered, in the order of arrival."""
        return tuple(self._states.values())

    def find(self, digest: str) -> Model | ModelState | None:
        """The model if it is ready, else how far it is, else None."""
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
        watch = _StateWatch(asyncio.get_running_loop(), lambda change: self._set(digest, change))
        async with self._one_at_a_time:
            directory = Path(tempfile.mkdtemp(prefix="model-", dir=self._work_dir))  # mode 0700
            try:
                model = await asyncio.to_thread(self._build, manifest, directory, watch)
            except (ModelRefused, CheckerError) as error:
                log.warning("model %s refused: %s", manifest.repository, error)
                self._fail(digest, ErrorCode.MODEL_REFUSED, str(error))
            except MemoryError:
                self._fail(digest, ErrorCode.OUT_OF_MEMORY, "The model does not fit into memory.")
            except Exception:
                log.exception("model %s could not be loaded", manifest.repository)
                self._fail(digest, ErrorCode.INTERNAL, "The model could not be loaded; the worker's log says why.")
            else:
                self._models[digest] = model
                self._set(digest, model.state.model_dump(exclude={"bytes_verified", "bytes_total"}))
                log.info("model %s at %s is ready", manifest.repository, manifest.commit[:12])
            finally:
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

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


class _StateWatch(LoadWatch):
    """Turns what the loading thread says into changes of the model's state, on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, change: Callable[[dict[str, Any]], None]) -> None:
        self._loop = loop
        self._change = change
        self._verified = 0

    def expect(self, total_bytes: int) -> None:
        self._tell({"bytes_total": total_bytes})

    def verified(self, count: int) -> None:
        self._verified += count
        self._tell({"bytes_verified": self._verified})

    def building(self) -> None:
        self._tell({"phase": LoadPhase.LOADING})

    def _tell(self, change: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._change, change)
