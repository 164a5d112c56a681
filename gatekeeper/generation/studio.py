"""Carrying orders out: hands them to the inference process, tells whoever watches, records what came of them.

An order belongs to the server once it is admitted: it goes on when its watcher leaves, when the server starts anew, and
once more when the worker dies, and it ends in exactly one of the states done, refused, failed and cancelled. Images are
given out only after record, receipt and evidence are durable.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.db import Database
from gatekeeper.generation import claims
from gatekeeper.generation.certifying import Certifier
from gatekeeper.generation.client import OrderRejected, Worker, WorkerAbsent, WorkerError, WorkerLost
from gatekeeper.generation.images import ImageFolder
from gatekeeper.generation.manifests import ORDER_SECONDS, image_order, worker_manifest
from gatekeeper.generation.outcomes import Outcome, record_outcome
from gatekeeper.generation.runs import Run, Update, WorkerStopped, recorded
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.signing import SigningKey
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import Repo
from inference.contract import ErrorCode, ImageOrder, LoadPhase, ModelManifest, Preview

_log = structlog.get_logger("gatekeeper.generation")

_LEFT = "The server was stopped while this was being made. Nothing was charged; please order again."
_UNREADABLE = "A file of this model cannot be read from the hub's storage now. Nothing was charged."
_LOST = "The inference process stopped while this was being made, twice. Nothing was charged; please order again."
_ABSENT = "The inference process did not answer in time. Nothing was charged; please order again."
_NOT_RECORDED = "What was made could not be recorded, so it is not given out. Nothing was charged."
_LOOK_SECONDS = 0.25

# Answers why an order's images may not be given out any more, None when they still may.
Recheck = Callable[[AsyncSession, Generation], Awaitable[str | None]]


class Studio:
    """The orders of this process.

    worker       None when inference is switched off
    privacy_key  makes people unrecognizable to the worker
    recheck      asked before images are given out, so that a hold or a revocation meanwhile binds an order too
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
        certifier: Certifier,
        recheck: Recheck | None = None,
    ) -> None:
        self._database = database
        self._worker = worker
        self._folder = folder
        self._store = store
        self._key = key
        self._privacy_key = privacy_key
        self._certifier = certifier
        self._runs: dict[str, Run] = {}
        self.recheck = recheck
        self.process = new_id()
        self._is_closing = False

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

    def start(self, made: Generation) -> None:
        """Begin an order that this process has claimed, its transaction committed; returns at once."""
        run = self._runs[made.id] = Run()
        run.task = asyncio.create_task(self._make(run, made))

    async def watch(self, made: Generation, after: str = "") -> AsyncIterator[Update]:
        """What happened to the order after the update with that id, and what follows, until its end."""
        while True:
            if (run := self._runs.get(made.id)) is not None:
                async for update in run.follow(after):
                    after = update.id
                    yield update
                    if update.is_end:
                        return
            if self._is_closing:
                return
            made = await self._read(made.id)
            if made.state is not GenerationState.RUNNING:
                told = recorded(made)
                position = next((n for n, update in enumerate(told, 1) if update.id == after), 0)
                for update in told[position:]:
                    yield update
                return
            await asyncio.sleep(_LOOK_SECONDS)  # another process makes it, or will soon

    async def wait(self, made: Generation) -> Generation:
        """The order when it has ended, or when this server stops."""
        async with contextlib.aclosing(self.watch(made)) as updates:  # type: ignore[type-var]
            async for _ in updates:
                pass
        return await self._read(made.id)

    def latest(self, made: Generation, *types: str) -> Update | None:
        """The last update of these types, of an order that is made here."""
        run = self._runs.get(made.id)
        return run.latest(*types) if run else None

    async def cancel(self, made: Generation) -> None:
        """Stop an order within a step. One that has ended already stays as it is."""
        run = self._runs.get(made.id)
        if run is None or run.task is None:
            async with self._database.write() as session:
                await claims.give_up(session, made.id)
            return
        run.is_cancelled = True
        is_known = False
        with contextlib.suppress(WorkerError):
            is_known = self._worker is not None and await self._worker.cancel(made.id)
        if not is_known and not run.is_ending:
            run.task.cancel()  # it waits for its model, or for the worker

    async def keep_up(self) -> None:
        """Renew the claims on what is made here and take over what nobody makes any more. Called every few seconds."""
        if self._runs:
            async with self._database.write() as session:
                unwanted = await claims.renew(session, self.process)
            for generation_id in unwanted:
                await self.cancel(await self._read(generation_id))
        async with self._database.read() as session:
            if not await claims.is_any_left(session):
                return
        async with self._database.write() as session:
            left = await claims.take_over(session, self.process)
        for made in left:
            if made.id not in self._runs:
                self.start(made)

    async def close(self) -> None:
        """Stop making anything; the orders go on where the next process takes them over."""
        self._is_closing = True
        for run in self._runs.values():
            if run.task is not None and not run.is_ending:
                run.task.cancel()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks:
            async with self._database.write() as session:
                await claims.let_go(session, self.process)

    async def _make(self, run: Run, made: Generation) -> None:
        outcome: Outcome
        try:
            outcome = await self._attempt(run, made)
        except asyncio.CancelledError:
            if not run.is_cancelled:  # the server stops
                self._forget(run, made)
                return
            outcome = Outcome(GenerationState.CANCELLED, code="cancelled")
        except OrderRejected as rejected:
            reason = " ".join((rejected.message, *rejected.problems))
            outcome = Outcome(GenerationState.FAILED, code=rejected.code.value, reason=reason)
        except (errors.GatekeeperError, FileNotFoundError):
            _log.exception("a model's files could not be read", generation=made.id)
            outcome = Outcome(GenerationState.FAILED, code="files_unavailable", reason=_UNREADABLE)
        except (WorkerError, WorkerStopped) as lost:
            _log.warning("order lost its worker", generation=made.id, error=str(lost))
            reason = _ABSENT if isinstance(lost, WorkerAbsent) else _LOST
            outcome = Outcome(GenerationState.FAILED, code="worker_lost", reason=reason)
        except Exception:
            _log.exception("order failed", generation=made.id)
            outcome = Outcome(GenerationState.FAILED, code="internal", reason="Something went wrong on our side.")
        if run.is_cancelled and outcome.state is GenerationState.FAILED:
            seconds = outcome.compute_seconds
            outcome = Outcome(GenerationState.CANCELLED, code="cancelled", compute_seconds=seconds)
        run.is_ending = True
        await self._finish(run, made, outcome)

    async def _attempt(self, run: Run, made: Generation) -> Outcome:
        """Have the order made; once more when the worker died of it or beside it."""
        if made.is_unwanted:
            return Outcome(GenerationState.CANCELLED, code="cancelled")
        if now() - made.started_at > claims.LEFT_FOR_GOOD or self._worker is None:
            return Outcome(GenerationState.FAILED, code="interrupted", reason=_LEFT)
        async with self._database.read() as session:
            repo = await session.get_one(Repo, made.repo_id)
            manifest = await self.prepare(session, repo, made.commit_id)
        order = image_order(made, manifest, self._privacy_key)
        while True:
            try:
                return await self._carry_out(run, self._worker, order, manifest)
            except WorkerAbsent:  # the order never got there, so this is no loss
                await self._worker.until_up(order.deadline_at)
            except OrderRejected as rejected:
                if rejected.code is not ErrorCode.DUPLICATE_ORDER:
                    raise
                await asyncio.sleep(_LOOK_SECONDS)  # the worker has not noticed yet that we left it before
            except (WorkerLost, WorkerStopped):
                if run.is_cancelled:
                    raise
                async with self._database.write() as session:
                    is_last = not await claims.lose(session, made.id, self.process)
                if is_last:
                    raise
                run.tell("retrying", {})
                order = order.model_copy(update={"deadline_at": now() + timedelta(seconds=ORDER_SECONDS)})

    async def _carry_out(self, run: Run, worker: Worker, order: ImageOrder, manifest: ModelManifest) -> Outcome:
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
            state = await worker.load(manifest, on_state=run.loading)
        if state.phase is LoadPhase.FAILED:
            code = state.error or ErrorCode.MODEL_REFUSED
            return Outcome(
                GenerationState.FAILED, code=code.value, reason=f"The model cannot be run here: {state.message or code}"
            )
        return await self._follow(run, worker, order)

    async def _follow(self, run: Run, worker: Worker, order: ImageOrder) -> Outcome:
        outcome = Outcome(GenerationState.FAILED, code="worker_lost", reason=_LOST)
        async with contextlib.aclosing(worker.submit(order)) as events:  # type: ignore[type-var]
            async for event in events:
                if not isinstance(event, Preview):
                    run.note(outcome, event)
                elif ready := await self._certifier.certify_preview(self._database, order, event, outcome):
                    run.note(outcome, ready)
        return outcome

    async def _finish(self, run: Run, made: Generation, outcome: Outcome) -> None:
        """Files first, then record, receipt and evidence in one transaction, then the news."""
        try:
            await self._record(run, made, outcome)
        except errors.Conflict:
            _log.warning("an order was made by another process, too", generation=made.id)
        except Exception:
            _log.exception("an order's outcome could not be recorded", generation=made.id)
            try:
                nothing = Outcome(GenerationState.FAILED, code="not_recorded", reason=_NOT_RECORDED)
                await self._record(run, made, nothing)
                await self._folder.delete([made.id])
            except Exception:  # the claim ends by itself, and the order is made again
                _log.exception("an order's failure could not be recorded", generation=made.id)
        finally:
            self._forget(run, made)

    async def _record(self, run: Run, made: Generation, outcome: Outcome) -> None:
        if outcome.state is GenerationState.DONE and self.recheck is not None:
            async with self._database.read() as session:
                if (reason := await self.recheck(session, made)) is not None:
                    outcome = Outcome(GenerationState.FAILED, code="no_longer_allowed", reason=reason)
        if outcome.state is GenerationState.DONE:
            outcome = await self._certifier.certify(self._database, made, outcome)
        files = outcome.certified.items()
        parts = [await self._folder.write(made, index, certified.content) for index, certified in files]
        try:
            async with self._database.write() as session:
                ended = await record_outcome(session, made.id, outcome, key=self._key, process=self.process)
                self._folder.keep(made, parts)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
        run.end(ended)

    def _forget(self, run: Run, made: Generation) -> None:
        self._runs.pop(made.id, None)
        run.leave()

    async def _read(self, generation_id: str) -> Generation:
        async with self._database.read() as session:
            return await session.get_one(Generation, generation_id)
