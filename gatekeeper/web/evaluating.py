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

from gatekeeper import accounts, authz, evaluation, generation, repos
from gatekeeper.accounts import Person, Principal
from gatekeeper.authz import Action, Denied
from gatekeeper.errors import Conflict, GatekeeperError, Unavailable
from gatekeeper.evaluation import EvaluationRun, Grid, ImageState, Plan, Shot, runs
from gatekeeper.generation import Generation, GenerationState, OrderRequest, Ruling, Safety, SafetyLevel, Terms
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Catalogue
from gatekeeper.repos import Repo
from gatekeeper.web.reporting import Stopped, Trouble, report
from gatekeeper.web.state import Gatekeeper

PART_SECONDS = 60
RENEW_SECONDS = 20
AT_ONCE = 3  # orders of four images: two fill a denoiser call, the third is there when one of them ends
# Ends of an order that another try may better.
_PASSING = frozenset({"worker_lost", "queue_full", "interrupted", "deadline_passed", "model_not_ready", "not_recorded"})
_UNSCREENED = "prompt_unscreened"  # our side's failure, no verdict about the prompt

_log = structlog.get_logger("gatekeeper.evaluating")


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
        except Stopped as stopped:
            async with gatekeeper.db.write() as session:
                await runs.fail(session, run, str(stopped))
        except (Trouble, Unavailable, GatekeeperError) as error:
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
            raise Stopped(changed.sentence) from changed
        repo = await repos.by_id(session, run.repo_id)
        if repo is None:
            raise Stopped("The repository was deleted.")
        known = set(await runs.made(session, run))
    todo = [shot for shot in runs.shots(run, grid) if shot.key(run) not in known]
    done = run.images_total - len(todo)
    batches = _batches(todo)
    going: set[asyncio.Task[dict[Shot, tuple[ImageState, str]]]] = set()
    failure: BaseException | None = None
    goes_on = True
    try:
        while True:
            # Each order is followed by the next as soon as it ends, so that the engine waits for none of them.
            while batches and goes_on and failure is None and len(going) < AT_ONCE and time.monotonic() < until:
                going.add(asyncio.create_task(_order(gatekeeper, run, repo, batches.pop(0))))
            if not going:
                break
            ended, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
            outcomes: dict[Shot, tuple[ImageState, str]] = {}
            for task in ended:
                failure = task.exception() or failure
                outcomes |= {} if task.exception() else task.result()
            done += len(outcomes)
            async with gatekeeper.db.write() as session:
                goes_on = await runs.keep(session, run, outcomes, done=done)
    finally:
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
    if failure is not None:
        raise failure
    if goes_on and not batches:
        await report(gatekeeper, run, repo, grid)


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
    """Order some images for whoever started the run, and wait for them. Raises Stopped, Trouble."""
    found: dict[Shot, tuple[ImageState, str]] = {}
    left = list(shots)
    while left:
        try:
            made, taken = await _admitted(gatekeeper, run, repo, left)
        except Unavailable as error:
            raise Trouble(error.sentence) from error
        except GatekeeperError as error:
            raise Stopped(f"{error.sentence}") from error
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
            raise Stopped(made.reason or made.code)
        case _:
            raise Trouble(made.reason or "An order was cancelled.")


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
