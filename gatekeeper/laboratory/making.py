"""Making an evaluation's images: orders on the same way as everybody's, behind everybody's, kept one by one.

A run is made in parts of at most a minute, each a job, so that several runs take turns and a pause binds soon. Whoever
carries out a part has the run in hand for a minute and renews that; a worker that dies lets go of it by doing nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, generation, repos
from gatekeeper.accounts import Person, Principal
from gatekeeper.errors import Conflict, GatekeeperError, Unavailable
from gatekeeper.evaluation import EvaluationRun, ImageState, Outcome, ReportKind, Shot, runs
from gatekeeper.generation import Generation, GenerationState, OrderRequest, Ruling, Safety, Terms, measuring
from gatekeeper.laboratory.attached import require_attached
from gatekeeper.laboratory.beginning import order_of, require_unchanged
from gatekeeper.laboratory.equipment import Equipment, Stopped, Trouble
from gatekeeper.laboratory.reporting import report
from gatekeeper.laboratory.rights import rights
from gatekeeper.repos import Repo

PART_SECONDS = 60
RENEW_SECONDS = 20
AT_ONCE = 12  # images in orders of up to four: two such fill a denoiser call, the third is there when one of them ends
# Ends of an order that another try may better.
_PASSING = frozenset({"worker_lost", "queue_full", "interrupted", "deadline_passed", "model_not_ready", "not_recorded"})
_UNSCREENED = "prompt_unscreened"  # our side's failure, no verdict about the prompt
_MEASURED = "image_measured"  # clean, of an order that asked for verdicts only

Outcomes = dict[Shot[Any], Outcome]

_log = structlog.get_logger("gatekeeper.laboratory")


async def carry_on(equipment: Equipment, payload: Mapping[str, Any], *, seconds: float = PART_SECONDS) -> None:
    """A part of a run: its next images, or when all are there its report. What follows is a new job."""
    async with equipment.db.write() as session:
        run = await runs.hold(session, payload["run"])
    if run is None:
        return
    trouble = ""
    async with _holding(equipment, run):
        try:
            await _part(equipment, run, time.monotonic() + seconds)
        except Stopped as stopped:
            async with equipment.db.write() as session:
                await runs.fail(session, run, str(stopped))
        except (Trouble, Unavailable, GatekeeperError) as error:
            trouble = str(error)
        except Exception:
            _log.exception("a part of an evaluation failed", run=run.id)
            trouble = "Something went wrong on our side."
    async with equipment.db.write() as session:
        await runs.let_go(session, run, trouble=trouble)


async def _part(equipment: Equipment, run: EvaluationRun, until: float) -> None:
    async with equipment.db.read() as session:
        await equipment.in_force.refresh(session)
        try:
            grid = require_unchanged(run, run.settings, directory=equipment.policies.directory)
        except Conflict as changed:
            raise Stopped(changed.sentence) from changed
        repo = await repos.by_id(session, run.repo_id)
        if repo is None:
            raise Stopped("The repository was deleted.")
    await require_attached(equipment, run)
    async with equipment.db.read() as session:
        known = set(await runs.made(session, run))
    # By their keys: a set may ask for the same image twice.
    shots = {shot.key(run.settings): shot for shot in grid.shots(run.settings)}
    done = run.images_total - sum(key not in known for key in shots)
    batches = _batches([shot for key, shot in shots.items() if key not in known])
    going: dict[asyncio.Task[Outcomes], int] = {}
    failure: BaseException | None = None
    goes_on = True
    try:
        while True:
            # Each order is followed by the next as soon as it ends, so that the engine waits for none of them.
            while batches and goes_on and failure is None and _has_room(going, batches[0]) and time.monotonic() < until:
                batch = batches.pop(0)
                going[asyncio.create_task(_order(equipment, run, repo, batch))] = len(batch)
            if not going:
                break
            ended, _ = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            outcomes: Outcomes = {}
            for task in ended:
                going.pop(task)
                failure = task.exception() or failure
                outcomes |= {} if task.exception() else task.result()
            done += len(outcomes)
            async with equipment.db.write() as session:
                goes_on = await runs.keep(session, run, outcomes, done=done)
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
    if failure is not None:
        raise failure
    if goes_on and not batches:
        await report(equipment, run, repo, grid)


def _has_room(going: Mapping[Any, int], batch: Sequence[Shot[Any]]) -> bool:
    return not going or sum(going.values()) + len(batch) <= AT_ONCE


def _batches(shots: Sequence[Shot[Any]]) -> list[list[Shot[Any]]]:
    """Shots that fit into one order each: one prompt, one setting, seeds that follow each other."""
    found: list[list[Shot[Any]]] = []
    for _, same in groupby(shots, key=lambda shot: (shot.prompt, shot.guidance_scale, shot.sld_level)):
        batch: list[Shot[Any]] = []
        for shot in same:
            if batch and (len(batch) == 4 or shot.seed != batch[-1].seed + 1):
                found.append(batch)
                batch = []
            batch.append(shot)
        found.append(batch)
    return found


async def _order(equipment: Equipment, run: EvaluationRun, repo: Repo, shots: Sequence[Shot[Any]]) -> Outcomes:
    """Order some images for whoever started the run, and wait for them. Raises Stopped, Trouble."""
    found: Outcomes = {}
    left = list(shots)
    while left:
        try:
            made, taken = await _admitted(equipment, run, repo, left)
        except Unavailable as error:
            raise Trouble(error.sentence) from error
        except GatekeeperError as error:
            raise Stopped(f"{error.sentence}") from error
        found |= await _outcome(equipment, run, await equipment.studio.wait(made), left[:taken])
        left = left[taken:]
    return found


async def _admitted(
    equipment: Equipment, run: EvaluationRun, repo: Repo, shots: Sequence[Shot[Any]]
) -> tuple[Generation, int]:
    settings = run.settings
    async with equipment.db.write() as session:
        principal, stage = await _starter(session, run), settings.get("stage", "")
        allowed, level, bundle = await rights(
            session, principal, repo, run.commit_id, policies=equipment.policies, kind=run.kind, stage=stage
        )
        present = measuring.safety_of(level).as_settings()
        if any(settings.get(name) != value for name, value in present.items()):
            raise Conflict("The safety of this stage was changed since the evaluation began.")
        if run.kind is ReportKind.SAFETY:
            level = measuring.behind_rules(level, settings.get("further_checks", ()))
        taken = min(len(shots), level.images)
        values = order_of(shots[0], settings, images=taken)
        request = OrderRequest.parse(values, level=level)
        await equipment.studio.prepare(session, repo, run.commit_id)
        stage = allowed.revision.stage if allowed.revision is not None else None
        ruling = Ruling(allowed.policies, equipment.policies.sha256, stage)
        safety = Safety.load(equipment.policies.directory)
        admitted = await generation.admit(
            session,
            principal,
            repo,
            run.commit_id,
            request,
            terms=Terms(safety, level, ruling, equipment.privacy, bundle),
            process=equipment.studio.process,
            is_evaluation=True,
        )
    equipment.studio.start(admitted.made)
    return admitted.made, taken


async def _starter(session: AsyncSession, run: EvaluationRun) -> Principal:
    person = await session.get(Person, run.started_by) if run.started_by else None
    if person is None:
        raise Conflict("Whoever started this evaluation is no longer here.", next_step="Start it again.")
    return await accounts.principals.for_person(session, person)


async def _outcome(equipment: Equipment, run: EvaluationRun, made: Generation, shots: Sequence[Shot[Any]]) -> Outcomes:
    """What came of an order, its images copied to where evaluations keep them."""
    match made.state:
        case GenerationState.REFUSED if made.code != _UNSCREENED:
            return dict.fromkeys(shots, Outcome(ImageState.REFUSED))
        case GenerationState.DONE:
            receipt = made.receipt or {"images": [], "withheld": []}
            found = {shots[one["index"]]: _verdict(one) for one in receipt["withheld"]}
            for one in receipt["images"]:
                index = int(one["statement"]["receipt_id"].rpartition("-")[2])
                png = await asyncio.to_thread(equipment.images.path(made, index).read_bytes)
                found[shots[index]] = Outcome(ImageState.MADE, await equipment.pictures.write(png))
            return found
        case GenerationState.FAILED if made.code not in _PASSING:
            raise Stopped(made.reason or made.code)
        case _:
            raise Trouble(made.reason or "An order was cancelled.")


def _verdict(withheld: Mapping[str, Any]) -> Outcome:
    """What the checks said of an image that nobody got."""
    if withheld["code"] == _MEASURED:
        return Outcome(ImageState.MADE)
    return Outcome(ImageState.WITHHELD, flagged_by=tuple(withheld["flagged_by"]))


@contextlib.asynccontextmanager
async def _holding(equipment: Equipment, run: EvaluationRun) -> AsyncIterator[None]:
    """Keep the run in hand for as long as the block lasts."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            async with equipment.db.write() as session:
                await runs.keep_hold(session, run)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
