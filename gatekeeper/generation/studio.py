"""Carrying orders out: hands them to the inference process, tells whoever watches, records what came of them.

An order belongs to the server once it is admitted: it goes on when its watcher leaves, when the server starts anew, and
once more when the worker dies while making it. One that is awaited on the line ends with its caller and its server.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors
from gatekeeper.db import Database
from gatekeeper.generation import claims
from gatekeeper.generation.certifying import Certifier
from gatekeeper.generation.client import Worker, WorkerError
from gatekeeper.generation.images import ImageFolder
from gatekeeper.generation.making import Maker, Recheck
from gatekeeper.generation.manifests import worker_manifest
from gatekeeper.generation.runs import Run, Update, recorded
from gatekeeper.generation.tables import Generation, GenerationState
from gatekeeper.kit.ids import new_id
from gatekeeper.kit.signing import SigningKey
from gatekeeper.repos.storage import Store
from gatekeeper.repos.tables import Repo
from inference.contract import ModelManifest

_LOOK_SECONDS = 0.25


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
        self.process = new_id()
        self._maker = Maker(
            database,
            worker,
            folder,
            store,
            key=key,
            privacy_key=privacy_key,
            certifier=certifier,
            process=self.process,
            recheck=recheck,
        )
        self._runs: dict[str, Run] = {}
        self._is_closing = False

    @property
    def recheck(self) -> Recheck | None:
        """Asked before images are given out."""
        return self._maker.recheck

    @recheck.setter
    def recheck(self, recheck: Recheck | None) -> None:
        self._maker.recheck = recheck

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

    def start(self, made: Generation, manifest: ModelManifest | None = None, *, was_left: bool = False) -> None:
        """Begin an order that this process has claimed, its transaction committed; returns at once.

        manifest  what `prepare` gave in that transaction
        was_left  by another process
        """
        run = self._runs[made.id] = Run(was_left=was_left)
        run.task = asyncio.create_task(self._make(run, made, manifest))

    async def watch(self, made: Generation, after: str = "") -> AsyncIterator[Update]:
        """What happened to the order after the update with that id, and what follows, until its end.

        Previews are left out as soon as the order's right has ended, also for who comes late or reads slowly.
        """
        while True:
            if (run := self._runs.get(made.id)) is not None:
                async for update in run.follow(after):
                    after = update.id
                    if update.type != "preview" or await self._may_show(made):
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
        run = self._runs.get(made.id)
        async with contextlib.aclosing(self.watch(made)) as updates:  # type: ignore[type-var]
            async for _ in updates:
                pass
        return (run and run.ended) or await self._read(made.id)

    def latest(self, made: Generation, *types: str) -> Update | None:
        """The last update of these types, of an order that is made here."""
        run = self._runs.get(made.id)
        return run.latest(*types) if run else None

    async def preview(self, made: Generation) -> Update | None:
        """The newest preview of an order that is made here, while it may be shown."""
        update = self.latest(made, "preview")
        return update if update is not None and await self._may_show(made) else None

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
                self.start(made, was_left=True)

    async def close(self) -> None:
        """Stop making anything; the orders go on where the next process takes them over, awaited ones end here."""
        self._is_closing = True
        for run in self._runs.values():
            if run.task is not None and not run.is_ending:
                run.task.cancel()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        if tasks:
            async with self._database.write() as session:
                await claims.let_go(session, self.process)

    async def _make(self, run: Run, made: Generation, manifest: ModelManifest | None) -> None:
        try:
            await self._maker.make(run, made, manifest)
        finally:
            self._runs.pop(made.id, None)
            run.leave()

    async def _may_show(self, made: Generation) -> bool:
        return (await self._maker.right(made)).refusal is None

    async def _read(self, generation_id: str) -> Generation:
        async with self._database.read() as session:
            return await session.get_one(Generation, generation_id)
