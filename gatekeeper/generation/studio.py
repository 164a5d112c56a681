"""Carrying orders out: hands them to the inference process, tells whoever watches, records what came of them.

An order belongs to the server once it is admitted: it goes on when its watcher leaves, and it ends in exactly one of
the states done, refused, failed and cancelled. Images are given out only after record, receipt and evidence are
durable. What could not be made costs nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.db import Database
from gatekeeper.generation.client import OrderRejected, Worker, WorkerError
from gatekeeper.generation.images import ImageFolder
from gatekeeper.generation.manifests import image_order, worker_manifest
from gatekeeper.generation.orders import OrderRequest
from gatekeeper.generation.outcomes import Outcome, record_outcome, updates_of
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.signing import SigningKey
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import Repo
from inference.contract import (
    Done,
    ErrorCode,
    Event,
    Failed,
    Image,
    ImageOrder,
    LoadPhase,
    ModelManifest,
    ModelState,
    Progress,
    Queued,
    Refused,
    Started,
    Withheld,
)

_log = structlog.get_logger("gatekeeper.generation")

_STOPPED = "The server was stopped while this was being made. Nothing was charged."
_UNREADABLE = "A file of this model cannot be read from the hub's storage now. Nothing was charged."
_LOST = "The inference process stopped while this was being made. Nothing was charged; please order again."


# Answers why an order's images may not be given out any more, None when they still may.
Recheck = Callable[[AsyncSession], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that happened to an order: queued, loading, started, progress, image, withheld, refused, failed, done,
    cancelled. The last four are ends. `data` is plain JSON."""

    type: str
    data: dict[str, Any]

    @property
    def is_end(self) -> bool:
        """Whether nothing follows."""
        return self.type in {"refused", "failed", "done", "cancelled"}


@dataclass
class _Run:
    """An order in the making: what happened so far, and who waits for more."""

    updates: list[Update] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    recheck: "Recheck | None" = None
    is_cancelled: bool = False

    def tell(self, update: Update) -> None:
        self.updates.append(update)
        self.changed.set()
        self.changed = asyncio.Event()


class Studio:
    """The orders of this process.

    worker       None when inference is switched off
    privacy_key  makes people unrecognizable to the worker
    """

    def __init__(
        self,
        database: Database,
        worker: Worker | None,
        folder: ImageFolder,
        store: Store,
        *,
        key: SigningKey,
        privacy_key: bytes,
    ) -> None:
        self._database = database
        self._worker = worker
        self._folder = folder
        self._store = store
        self._key = key
        self._privacy_key = privacy_key
        self._runs: dict[str, _Run] = {}

    def require_worker(self) -> Worker:
        """The worker. Raises Unavailable where inference is switched off."""
        if self._worker is None:
            raise errors.Unavailable(
                "Hosted inference is switched off on this hub.",
                next_step="Ask its administrator, or run the model yourself.",
            )
        return self._worker

    async def prepare(self, session: AsyncSession, repo: Repo, commit: str) -> ModelManifest:
        """What the worker will load, before anything is charged. Raises Unavailable, and Invalid for no pipeline."""
        self.require_worker()
        return await worker_manifest(session, repo, commit)

    def start(
        self,
        generation: Generation,
        repo: Repo,
        request: OrderRequest,
        manifest: ModelManifest,
        *,
        recheck: Recheck | None = None,
    ) -> None:
        """Begin an admitted order whose transaction is committed; returns at once.

        recheck  asked again before images are given out, so that a hold or a revocation meanwhile binds this order too
        """
        run = self._runs[generation.id] = _Run(recheck=recheck)
        run.task = asyncio.create_task(self._make(run, generation, repo, request, manifest))

    async def watch(self, generation: Generation) -> AsyncIterator[Update]:
        """Everything that happened to the order so far and what follows, until its end."""
        run = self._runs.get(generation.id)
        if run is None:
            for update in await self._recorded(generation.id):
                yield update
            return
        told = 0
        while True:
            changed = run.changed
            while told < len(run.updates):
                update = run.updates[told]
                told += 1
                yield update
                if update.is_end:
                    return
            await changed.wait()

    async def wait(self, generation: Generation) -> Generation:
        """The order when it has ended."""
        async with contextlib.aclosing(self.watch(generation)) as updates:  # type: ignore[type-var]
            async for _ in updates:
                pass
        async with self._database.read() as session:
            return await session.get_one(Generation, generation.id)

    async def cancel(self, generation: Generation) -> None:
        """Stop an order within a step. One that has ended already stays as it is."""
        run = self._runs.get(generation.id)
        if run is None or run.task is None:
            return
        run.is_cancelled = True
        is_known = False
        with contextlib.suppress(WorkerError):
            is_known = self._worker is not None and await self._worker.cancel(generation.id)
        if not is_known:
            run.task.cancel()  # it waits for its model

    async def close(self) -> None:
        """End what is being made; each order is recorded as failed."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(
        self, run: _Run, generation: Generation, repo: Repo, request: OrderRequest, manifest: ModelManifest
    ) -> None:
        outcome: Outcome
        try:
            outcome = await self._carry_out(
                run, image_order(generation, request, manifest, self._privacy_key), manifest
            )
        except asyncio.CancelledError:
            outcome = Outcome(GenerationState.CANCELLED if run.is_cancelled else GenerationState.FAILED)
            outcome.code, outcome.reason = ("cancelled", "") if run.is_cancelled else ("interrupted", _STOPPED)
        except OrderRejected as rejected:
            reason = " ".join((rejected.message, *rejected.problems))
            outcome = Outcome(GenerationState.FAILED, code=rejected.code.value, reason=reason)
        except (errors.GatekeeperError, FileNotFoundError):
            _log.exception("a model's files could not be read", generation=generation.id)
            outcome = Outcome(GenerationState.FAILED, code="files_unavailable", reason=_UNREADABLE)
        except WorkerError as lost:
            _log.warning("order lost its worker", generation=generation.id, error=str(lost))
            outcome = Outcome(GenerationState.FAILED, code="worker_lost", reason=_LOST)
        except Exception:
            _log.exception("order failed", generation=generation.id)
            outcome = Outcome(GenerationState.FAILED, code="internal", reason="Something went wrong on our side.")
        if run.is_cancelled and outcome.state is GenerationState.FAILED:
            outcome = Outcome(GenerationState.CANCELLED, code="cancelled")
        await asyncio.shield(self._finish(run, generation.id, repo, outcome))

    async def _carry_out(self, run: _Run, order: ImageOrder, manifest: ModelManifest) -> Outcome:
        worker = self.require_worker()
        try:
            return await self._follow(run, worker, order)
        except OrderRejected as rejected:
            if not (rejected.needs_load or rejected.code is ErrorCode.MODEL_NOT_READY):
                raise
        async with contextlib.AsyncExitStack() as stack:
            # Where the store is a bucket, the worker reads copies, which stay until it has them.
            for file in manifest.files:
                if file.inline is None:
                    await stack.enter_async_context(self._store.at_hand(object_key(file.sha256)))
            state = await worker.load(manifest, on_state=lambda state: run.tell(_loading(state)))
        if state.phase is LoadPhase.FAILED:
            code = state.error or ErrorCode.MODEL_REFUSED
            return Outcome(
                GenerationState.FAILED, code=code.value, reason=f"The model cannot be run here: {state.message or code}"
            )
        return await self._follow(run, worker, order)

    async def _follow(self, run: _Run, worker: Worker, order: ImageOrder) -> Outcome:
        outcome = Outcome(GenerationState.FAILED, code="worker_lost", reason=_LOST)
        async with contextlib.aclosing(worker.submit(order)) as events:  # type: ignore[type-var]
            async for event in events:
                _note(run, outcome, event)
        return outcome

    async def _finish(self, run: _Run, generation_id: str, repo: Repo, outcome: Outcome) -> None:
        """Files first, then record, receipt and evidence in one transaction, then the news."""
        try:
            if outcome.state is GenerationState.DONE and run.recheck is not None:
                async with self._database.read() as session:
                    if (reason := await run.recheck(session)) is not None:
                        outcome = Outcome(GenerationState.FAILED, code="no_longer_allowed", reason=reason)
            if outcome.state is GenerationState.DONE:
                for image in outcome.images:
                    await self._folder.write(generation_id, image.index, image.png())
            async with self._database.write() as session:
                made = await record_outcome(session, generation_id, repo, outcome, key=self._key)
            for type, data in updates_of(made):
                run.tell(Update(type, data))
        except Exception:
            _log.exception("an order's outcome could not be recorded", generation=generation_id)
            await self._folder.delete([generation_id])
            reason = "What was made could not be recorded, so it is not given out."
            run.tell(Update("failed", {"code": "not_recorded", "reason": reason}))
        finally:
            self._runs.pop(generation_id, None)

    async def _recorded(self, generation_id: str) -> list[Update]:
        async with self._database.read() as session:
            made = await session.get(Generation, generation_id)
        return [Update(type, data) for type, data in updates_of(made)] if made else []


def _note(run: _Run, outcome: Outcome, event: Event) -> None:
    match event:
        case Queued(place=place):
            run.tell(Update("queued", {"place": place}))
        case Started(steps=steps):
            run.tell(Update("started", {"steps": steps}))
        case Progress(step=step, steps=steps):
            run.tell(Update("progress", {"step": step, "steps": steps}))
        case Image():
            outcome.images.append(event)
        case Withheld():
            outcome.withheld.append(event)
        case Refused():
            outcome.state, outcome.code, outcome.reason = GenerationState.REFUSED, event.code.value, event.reason
            outcome.rules = event.rule_ids
            outcome.restrictions = event.restrictions
        case Failed():
            outcome.state, outcome.code, outcome.reason = GenerationState.FAILED, event.code.value, event.message
        case Done():
            outcome.state, outcome.code, outcome.reason = GenerationState.DONE, "", ""
            outcome.compute_seconds = event.compute_seconds


def _loading(state: ModelState) -> Update:
    data = {"phase": state.phase.value, "bytes_verified": state.bytes_verified, "bytes_total": state.bytes_total}
    return Update("loading", data)
