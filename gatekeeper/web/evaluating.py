"""Making an evaluation's images: orders on the same way as everybody's, behind everybody's, kept one by one.

A run is made in parts of at most a minute, each a job, so that several runs take turns and a pause binds soon. Whoever
carries out a part has the run in hand for a minute and renews that; a worker that dies lets go of it by doing nothing.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, authz, evaluation, generation, repos
from gatekeeper.accounts import Person, Principal
from gatekeeper.authz import Action, Denied
from gatekeeper.errors import Conflict, GatekeeperError, Unavailable
from gatekeeper.evaluation import EvaluationRun, Grid, ImageState, Plan, Reader, Shot, reports, runs
from gatekeeper.generation import Generation, GenerationState, OrderRequest, Ruling, Safety, SafetyLevel, Terms
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Catalogue
from gatekeeper.repos import Repo, history
from gatekeeper.web.state import Gatekeeper

PART_SECONDS = 60
RENEW_SECONDS = 20
AT_ONCE = 2  # orders; four images each fill a denoiser call, and leave room for other people's
READ_AT_ONCE = 64
# Ends of an order that another try may better.
_PASSING = frozenset({"worker_lost", "queue_full", "interrupted", "deadline_passed", "model_not_ready", "not_recorded"})
_UNSCREENED = "prompt_unscreened"  # our side's failure, no verdict about the prompt

_log = structlog.get_logger("gatekeeper.evaluating")


class _Stopped(Exception):
    """The run cannot go on; the text says why."""


class _Trouble(Exception):
    """It may go on later; the text says what stood in the way."""


async def carry_on(gatekeeper: Gatekeeper, payload: Mapping[str, Any], *, seconds: float = PART_SECONDS) -> None:
    """A part of a run: its next images, or when all are there its report. What follows is a new job."""
    async with gatekeeper.db.write() as session:
        run = await runs.hold(session, payload["run"])
    if run is None:
        return
    trouble = ""
    async with _holding(gatekeeper, run):
        try:
            await _part(gatekeeper, run, time.monotonic() + seconds)
        except _Stopped as stopped:
            async with gatekeeper.db.write() as session:
                await runs.fail(session, run, str(stopped))
        except (_Trouble, Unavailable, GatekeeperError) as error:
            trouble = str(error)
        except Exception:
            _log.exception("a part of an evaluation failed", run=run.id)
            trouble = "Something went wrong on our side."
    async with gatekeeper.db.write() as session:
        await runs.let_go(session, run, trouble=trouble)


async def plan_for(
    gatekeeper: Gatekeeper, session: AsyncSession, principal: Principal, repo: Repo, commit: str, **wanted: Any
) -> Plan:
    """A plan with the safety that this person's orders at this commit get, or a weaker one that they may choose.

    Raises NotAllowed, and Invalid for a level that they may not.
    """
    sld_level = wanted.pop("sld_level", None)
    level = (await _rights(gatekeeper, session, principal, repo, commit))[1]
    request = OrderRequest.parse({"prompt": "-", "sld_level": sld_level}, level=level)
    return Plan(sld_level=request.sld_level.value, margin=level.margin, **wanted)


async def grid_of(gatekeeper: Gatekeeper, run: EvaluationRun) -> Grid:
    """The grid of a run. Raises Conflict when it was changed since: its images are no longer those of the grid."""
    grid = evaluation.load_grids(gatekeeper.policies.directory).get(run.grid_id)
    if grid is None or grid.sha256 != run.grid_sha256:
        raise Conflict("The grid was changed since this evaluation began.", next_step="Start a new one.")
    return grid


async def _part(gatekeeper: Gatekeeper, run: EvaluationRun, until: float) -> None:
    async with gatekeeper.db.read() as session:
        await gatekeeper.in_force.refresh(session)
        try:
            grid = await grid_of(gatekeeper, run)
        except Conflict as changed:
            raise _Stopped(changed.sentence) from changed
        repo = await repos.by_id(session, run.repo_id)
        if repo is None:
            raise _Stopped("The repository was deleted.")
        known = set(await runs.made(session, run))
    todo = [shot for shot in runs.shots(run, grid) if shot.key(run) not in known]
    done = run.images_total - len(todo)
    batches = _batches(todo)
    while batches and time.monotonic() < until:
        turn, batches = batches[:AT_ONCE], batches[AT_ONCE:]
        ends = await asyncio.gather(*(_order(gatekeeper, run, repo, shots) for shots in turn), return_exceptions=True)
        outcomes: dict[Shot, tuple[ImageState, str]] = {}
        for end in ends:
            if isinstance(end, dict):
                outcomes |= end
        done += len(outcomes)
        async with gatekeeper.db.write() as session:
            goes_on = await runs.keep(session, run, outcomes, done=done)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        if not goes_on:
            return
    if not batches:
        await _report(gatekeeper, run, repo, grid)


def _batches(shots: Sequence[Shot]) -> list[list[Shot]]:
    """Shots that fit into one order each: one prompt, one scale, seeds that follow each other."""
    found: list[list[Shot]] = []
    for _, same in groupby(shots, key=lambda shot: (shot.prompt, shot.guidance_scale)):
        batch: list[Shot] = []
        for shot in same:
            if batch and (len(batch) == 4 or shot.seed != batch[-1].seed + 1):
                found.append(batch)
                batch = []
            batch.append(shot)
        found.append(batch)
    return found


async def _order(
    gatekeeper: Gatekeeper, run: EvaluationRun, repo: Repo, shots: Sequence[Shot]
) -> dict[Shot, tuple[ImageState, str]]:
    """Order some images for whoever started the run, and wait for them. Raises _Stopped, _Trouble."""
    found: dict[Shot, tuple[ImageState, str]] = {}
    left = list(shots)
    while left:
        try:
            made, taken = await _admitted(gatekeeper, run, repo, left)
        except Unavailable as error:
            raise _Trouble(error.sentence) from error
        except GatekeeperError as error:
            raise _Stopped(f"{error.sentence}") from error
        found |= await _outcome(gatekeeper, await gatekeeper.studio.wait(made), left[:taken])
        left = left[taken:]
    return found


async def _admitted(
    gatekeeper: Gatekeeper, run: EvaluationRun, repo: Repo, shots: Sequence[Shot]
) -> tuple[Generation, int]:
    async with gatekeeper.db.write() as session:
        principal = await _starter(session, run)
        allowed, level = await _rights(gatekeeper, session, principal, repo, run.commit_id)
        taken = min(len(shots), level.images)
        values = {
            "prompt": shots[0].prompt.text,
            "steps": run.settings["steps"],
            "bucket": run.settings["bucket"],
            "guidance_scale": shots[0].guidance_scale,
            "sld_level": run.settings["sld_level"],
            "seed": shots[0].seed,
            "images": taken,
        }
        if level.margin != run.settings["margin"]:
            raise Conflict("The safety of this stage was changed since the evaluation began.")
        request = OrderRequest.parse(values, level=level)
        await gatekeeper.studio.prepare(session, repo, run.commit_id)
        stage = allowed.revision.stage if allowed.revision is not None else None
        ruling = Ruling(allowed.policies, gatekeeper.policies.sha256, stage)
        safety = Safety.load(gatekeeper.policies.directory)
        admitted = await generation.admit(
            session,
            principal,
            repo,
            run.commit_id,
            request,
            terms=Terms(safety, level, ruling, gatekeeper.keys.privacy),
            process=gatekeeper.studio.process,
            is_evaluation=True,
        )
    gatekeeper.studio.start(admitted.made)
    return admitted.made, taken


async def _rights(
    gatekeeper: Gatekeeper, session: AsyncSession, principal: Principal, repo: Repo, commit: str
) -> tuple[authz.Allowed, SafetyLevel]:
    """The decision that lets this person make images of the commit, and the safety they get. Raises NotAllowed."""
    policies, instant = gatekeeper.policies, now()
    resource = await authz.load(session, principal, repo, commit=commit, instant=instant)
    allowed = authz.require(policies, principal, Action.GENERATE, resource, instant)
    is_adjusted = not isinstance(authz.decide(policies, principal, Action.GENERATE_ADJUSTED, resource, instant), Denied)
    stage = allowed.revision.stage if allowed.revision is not None else None
    safety = Safety.load(policies.directory)
    licenses = Catalogue.load(policies.directory or bundled_dir("policies"))
    level = safety.at(stage, is_adjusted=is_adjusted)
    return allowed, await generation.demanded(
        session, principal, repo, commit, level, safety=safety, catalogue=licenses
    )


async def _starter(session: AsyncSession, run: EvaluationRun) -> Principal:
    person = await session.get(Person, run.started_by) if run.started_by else None
    if person is None:
        raise Conflict("Whoever started this evaluation is no longer here.", next_step="Start it again.")
    return await accounts.principals.for_person(session, person)


async def _outcome(
    gatekeeper: Gatekeeper, made: Generation, shots: Sequence[Shot]
) -> dict[Shot, tuple[ImageState, str]]:
    """What came of an order, its images copied to where evaluations keep them."""
    match made.state:
        case GenerationState.REFUSED if made.code != _UNSCREENED:
            return dict.fromkeys(shots, (ImageState.REFUSED, ""))
        case GenerationState.DONE:
            found = dict.fromkeys(shots, (ImageState.WITHHELD, ""))
            for receipt in (made.receipt or {})["images"]:
                index = int(receipt["statement"]["receipt_id"].rpartition("-")[2])
                png = await asyncio.to_thread(gatekeeper.images.path(made, index).read_bytes)
                found[shots[index]] = (ImageState.MADE, await gatekeeper.pictures.write(png))
            return found
        case GenerationState.FAILED if made.code not in _PASSING:
            raise _Stopped(made.reason or made.code)
        case _:
            raise _Trouble(made.reason or "An order was cancelled.")


async def _report(gatekeeper: Gatekeeper, run: EvaluationRun, repo: Repo, grid: Grid) -> None:
    wanted = run.settings["reader"]
    reader = await _reader(gatekeeper, wanted) if wanted else None
    if reader is not None:
        await _look(gatekeeper, run, reader)
    async with gatekeeper.db.read() as session:
        samples = await reports.samples_of(session, run, grid, reader_sha256=wanted)
        vocabulary = await _vocabulary(session, repo, run.commit_id)
    body = await asyncio.to_thread(reports.written, grid, samples, reader, vocabulary)
    async with gatekeeper.db.write() as session:
        fresh = await session.get_one(EvaluationRun, run.id, populate_existing=True, with_for_update=True)
        if fresh.state is evaluation.RunState.RUNNING:
            await reports.make(session, fresh, repo, grid, body, key=gatekeeper.keys.signing)


async def _reader(gatekeeper: Gatekeeper, sha256: str) -> Reader:
    found = {reader.sha256: reader for reader in await readers(gatekeeper)}
    if sha256 not in found:
        raise _Stopped("The reader that this grid names is not attached to the inference process.")
    return found[sha256]


async def readers(gatekeeper: Gatekeeper) -> list[Reader]:
    """Who can look at images here. Raises Unavailable."""
    worker = gatekeeper.studio.require_worker()
    try:
        facts = (await worker.health()).readers
    except generation.WorkerError as lost:
        raise Unavailable("The inference process does not answer.", next_step="Try again in a minute.") from lost
    return [Reader(e.sha256, e.name, e.grouped_by, e.attributes, e.confusion) for e in facts]


async def _look(gatekeeper: Gatekeeper, run: EvaluationRun, reader: Reader) -> None:
    async with gatekeeper.db.read() as session:
        left = await reports.unread(session, list((await runs.made(session, run)).values()), reader.sha256)
    worker = gatekeeper.studio.require_worker()
    for start in range(0, len(left), READ_AT_ONCE):
        digests = left[start : start + READ_AT_ONCE]
        pngs = [await gatekeeper.pictures.read(digest) for digest in digests]
        try:
            seen = await worker.read(reader.sha256, pngs)
        except generation.WorkerError as lost:
            raise _Trouble("The inference process went away while images were looked at.") from lost
        async with gatekeeper.db.write() as session:
            rows = {digest: (one.embedding, one.labels) for digest, one in zip(digests, seen, strict=True)}
            await reports.keep_readings(session, reader.sha256, rows)


async def _vocabulary(session: AsyncSession, repo: Repo, commit: str) -> Any:
    """The model's `vocabulary.json`, None where there is none that can be read. It is not trusted."""
    entry = await history.find_entry(session, repo, commit, "vocabulary.json")
    if entry is None or entry.type != "file" or entry.lfs is not None or entry.size > 2**20:
        return None
    try:
        return json.loads(await history.read_blob(session, repo, entry.oid))
    except (ValueError, RecursionError):
        return None


@contextlib.asynccontextmanager
async def _holding(gatekeeper: Gatekeeper, run: EvaluationRun) -> AsyncIterator[None]:
    """Keep the run in hand for as long as the block lasts."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            async with gatekeeper.db.write() as session:
                await runs.keep_hold(session, run)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
