"""One order from the first word to the worker to the record of its end.

An order ends in exactly one of the states done, refused, failed and cancelled; its images are given out only after
record, receipt and evidence are durable.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.db import Database
from gatekeeper.generation import claims
from gatekeeper.generation.certifying import Certifier, number
from gatekeeper.generation.client import OrderRejected, Worker, WorkerAbsent, WorkerError, WorkerLost
from gatekeeper.generation.images import ImageFolder
from gatekeeper.generation.manifests import ORDER_SECONDS, image_order, worker_manifest
from gatekeeper.generation.orders import OrderRequest
from gatekeeper.generation.outcomes import INTERRUPTED, NO_RIGHT, Outcome, record_outcome
from gatekeeper.generation.runs import Run, WorkerStopped
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.generation.turns import Turns
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import Repo
from inference.contract import Done, ErrorCode, Event, Failed, ImageOrder, LoadPhase, ModelManifest, Preview, Started

_log = structlog.get_logger("gatekeeper.generation")

_LEFT = "The server was stopped while this was being made. Nothing was charged; please order again."
_UNREADABLE = "A file of this model cannot be read from the hub's storage now. Nothing was charged."
_LOST = "The inference process stopped while this was being made, twice. Nothing was charged; please order again."
_ABSENT = "The inference process did not answer in time. Nothing was charged; please order again."
_NOT_RECORDED = "What was made could not be recorded, so it is not given out. Nothing was charged."
_CROWDED = "Other models take this one's place on the machine again and again. Nothing was charged; order again later."
_LOOK_SECONDS = 0.25
_MOST_LOADS = 5  # of one order's model
_MOST_SPARED = 1  # losses of an order that seems to have waited only


@dataclass(frozen=True, slots=True)
class Right:
    """What an order's images may be given out as.

    refusal  why they may not be any more, None when they still may
    model    its name, where anybody may know of it at that commit
    """

    refusal: str | None = None
    model: str | None = None


Recheck = Callable[[AsyncSession, Generation], Awaitable[Right]]


class Maker:
    """Makes the orders of one process.

    worker       None when inference is switched off
    privacy_key  makes people unrecognizable to the worker
    process      by which orders are claimed
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
        process: str,
        recheck: Recheck | None,
    ) -> None:
        self._database = database
        self._worker = worker
        self._folder = folder
        self._store = store
        self._key = key
        self._privacy_key = privacy_key
        self._certifier = certifier
        self._process = process
        self._turns = Turns()
        self.recheck = recheck

    async def make(self, run: Run, made: Generation, manifest: ModelManifest | None) -> None:
        """From the first word to the worker to the news of the end. Returns without an end where the server stops."""
        outcome: Outcome
        try:
            outcome = await self._attempt(run, made, manifest)
        except asyncio.CancelledError:
            if run.is_cancelled:
                outcome = Outcome(GenerationState.CANCELLED, code="cancelled")
            elif made.is_awaited:  # the server stops, and its caller's line with it
                outcome = Outcome(GenerationState.FAILED, code=INTERRUPTED, reason=_LEFT)
            else:
                return
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

    async def _attempt(self, run: Run, made: Generation, manifest: ModelManifest | None) -> Outcome:
        """Have the order made; once more, alone, when the worker died while making it.

        Those that only waited are sent again with all others. The word that one has begun may be lost with the worker,
        so nobody is taken for one that waited twice.
        """
        if made.is_unwanted:
            return Outcome(GenerationState.CANCELLED, code="cancelled")
        is_for_nobody = run.was_left and claims.is_for_nobody(made)
        if is_for_nobody or self._worker is None:
            return Outcome(GenerationState.FAILED, code=INTERRUPTED, reason=_LEFT)
        if manifest is None:
            async with self._database.read() as session:
                repo = await session.get_one(Repo, made.repo_id)
                manifest = await worker_manifest(session, repo, made.commit_id)
        is_suspect, spared = made.losses > 0, 0
        while True:
            async with self._turns.take(alone=is_suspect):
                try:
                    return await self._send(run, made, self._worker, manifest)
                except (WorkerLost, WorkerStopped) as lost:
                    if run.is_cancelled or isinstance(lost, WorkerAbsent):
                        raise
                    if spared < _MOST_SPARED and not (is_suspect or run.has_begun):
                        spared += 1
                    else:
                        async with self._database.write() as session:
                            is_suspect = await claims.lose(session, made.id, self._process)
                        if not is_suspect:
                            raise
                    run.tell("retrying", {})
                    # One that is dying yet takes orders for a moment, and would be lost a second time.
                    await self._worker.until_up(now() + timedelta(seconds=ORDER_SECONDS))

    async def _send(self, run: Run, made: Generation, worker: Worker, manifest: ModelManifest) -> Outcome:
        """The order sent to the worker, and followed: as soon as it is there, and has the model."""
        order, needs_load, loads = image_order(made, manifest, self._privacy_key), False, 0
        while True:
            try:
                if needs_load:
                    loads += 1
                    if (refused := await self._load(run, worker, manifest)) is not None:
                        return refused
                    order, needs_load = _from_now(order), False  # an order's time does not run while its model loads
                return await self._follow(run, made, worker, order)
            except WorkerAbsent:  # the order never got there, so this is no loss
                await worker.until_up(order.deadline_at)
            except OrderRejected as rejected:
                if rejected.code is ErrorCode.DUPLICATE_ORDER:
                    await asyncio.sleep(_LOOK_SECONDS)  # the worker has not noticed yet that we left it before
                elif rejected.needs_load and now() - made.started_at < claims.LEFT_FOR_GOOD:
                    if loads == _MOST_LOADS:
                        return Outcome(GenerationState.FAILED, code=rejected.code.value, reason=_CROWDED)
                    needs_load = True  # again, too: another order's model may have taken its place meanwhile
                else:
                    raise

    async def _load(self, run: Run, worker: Worker, manifest: ModelManifest) -> Outcome | None:
        """Have the model made ready; the order's end where it cannot be."""
        async with contextlib.AsyncExitStack() as stack:
            # Where the store is a bucket, the worker reads copies, which stay until it has them.
            for file in manifest.files:
                if file.inline is None:
                    await stack.enter_async_context(self._store.at_hand(object_key(file.sha256)))
            state = await worker.load(manifest, on_state=run.loading)
        if state.phase is not LoadPhase.FAILED:
            return None
        code = state.error or ErrorCode.MODEL_REFUSED
        reason = f"The model cannot be run here: {state.message or code}"
        if code is ErrorCode.OUT_OF_MEMORY:  # the model is too large, not what was ordered of it
            code = ErrorCode.MODEL_REFUSED
        return Outcome(GenerationState.FAILED, code=code.value, reason=reason)

    async def _follow(self, run: Run, made: Generation, worker: Worker, order: ImageOrder) -> Outcome:
        outcome, reason = Outcome(GenerationState.FAILED, code="worker_lost", reason=_LOST), None
        async with contextlib.aclosing(worker.submit(order)) as events:  # type: ignore[type-var]
            async for event in events:
                if reason is None and (reason := await self._follow_one(run, made, order, event, outcome)) is not None:
                    await worker.cancel(order.id)
                if isinstance(event, Done | Failed):  # read up to it also where the right ended, for what was computed
                    outcome.compute_seconds = event.compute_seconds
        return outcome if reason is None else _refused(outcome, reason)

    async def _follow_one(
        self, run: Run, made: Generation, order: ImageOrder, event: Event, outcome: Outcome
    ) -> str | None:
        """Take in one event. Returns why the images may not be given out any more."""
        if isinstance(event, Started) and (reason := await self._prepare(made, outcome)) is not None:
            return reason
        if not isinstance(event, Preview) or event.withheld is not None:
            run.note(outcome, event)
        elif (reason := (await self.right(made)).refusal) is not None:
            return reason
        elif ready := await self._certifier.certify_preview(self._database, made, order, event, outcome):
            run.note(outcome, ready)
        return None

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

    async def _record(self, run: Run, made: Generation, outcome: Outcome) -> None:
        if outcome.state is GenerationState.DONE:
            right = await self.right(made)
            if right.refusal is None:
                outcome = await self._certifier.certify(self._database, made, outcome, model=right.model)
            else:
                outcome = _refused(outcome, right.refusal)
        outcome.flagged = tuple(run.flagged.values())
        files = outcome.certified.items()
        parts = [await self._folder.write(made, index, certified.content) for index, certified in files]
        try:
            async with self._database.write() as session:
                ended = await record_outcome(session, made.id, outcome, key=self._key, process=self._process)
                self._folder.keep(made, parts)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
        run.end(ended)

    async def _prepare(self, made: Generation, outcome: Outcome) -> str | None:
        """While the engine works, do what its images will need, so that the end is quick.

        Returns why they may not be given out.
        """
        async with self._database.read() as session:
            await number(session, made, outcome, range(OrderRequest.of(made).images))
            return (await self._right(session, made)).refusal

    async def right(self, made: Generation) -> Right:
        """What its images may be given out as now."""
        async with self._database.read() as session:
            return await self._right(session, made)

    async def _right(self, session: AsyncSession, made: Generation) -> Right:
        return await self.recheck(session, made) if self.recheck else Right()


def _from_now(order: ImageOrder) -> ImageOrder:
    return order.model_copy(update={"deadline_at": now() + timedelta(seconds=ORDER_SECONDS)})


def _refused(outcome: Outcome, reason: str) -> Outcome:
    """What was made is not given out; what it took and what safety stopped stays."""
    return replace(outcome, state=GenerationState.FAILED, code=NO_RIGHT, reason=reason, images=[])
