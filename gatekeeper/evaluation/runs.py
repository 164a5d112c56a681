"""Runs: a grid with a commit, image by image. What was made is kept at once and shared, so a stopped run loses nothing.

The room does not make images: `gatekeeper.laboratory` orders them, on the same way as everybody's.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col

from gatekeeper import errors, jobs, ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.evaluation.grids import MOST_SEEDS, Grid
from gatekeeper.evaluation.promptsets import PromptSet
from gatekeeper.evaluation.shots import Key, Settings, Shot
from gatekeeper.evaluation.tables import EvaluationImage, EvaluationReport, EvaluationRun, ImageState, RunState
from gatekeeper.kit.clock import now
from gatekeeper.repos import manifests
from gatekeeper.repos.tables import Repo

JOB = "evaluation:run"
HELD = timedelta(seconds=60)
MOST_TROUBLES = 8
_FIRST_PAUSE_SECONDS = 5
MOST_IMAGES = 25_000  # I2P's table at each level of steering
_OPEN = (RunState.RUNNING, RunState.PAUSED)

_ACTS = {"pause": RunState.PAUSED, "resume": RunState.RUNNING, "cancel": RunState.CANCELLED}

AnyGrid = Grid | PromptSet


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a shot.

    image_sha256  where the image is kept
    flagged_by    names of the checks that flagged it; an image that was withheld without any could not be checked
    """

    state: ImageState
    image_sha256: str = ""
    flagged_by: tuple[str, ...] = ()


async def start(
    session: AsyncSession,
    repo: Repo,
    commit: str,
    grid: AnyGrid,
    settings: Settings,
    *,
    by: Principal,
    contests: EvaluationReport | None = None,
) -> EvaluationRun:
    """Begin a run with settings that the grid's `plan` gave, or that a contested report was made with.

    Raises Invalid for more images than a run makes, Conflict while the person's last one goes on.
    """
    if by.person_id is None:
        raise errors.NotSignedIn("An evaluation is run by a person.", next_step="Sign in.")
    if not 1 <= settings["seeds"] <= MOST_SEEDS:
        raise errors.Invalid(f"An evaluation makes 1 to {MOST_SEEDS} images of each prompt.", status=422)
    total = sum(1 for _ in grid.shots(settings))
    if total > MOST_IMAGES:
        raise errors.Invalid(f"That would be {total:,} images; at most {MOST_IMAGES:,} are made in a run.", status=422)
    going_on = sa.select(col(EvaluationRun.id)).where(
        col(EvaluationRun.repo_id) == repo.id,
        col(EvaluationRun.started_by) == by.person_id,
        col(EvaluationRun.state).in_(_OPEN),
    )
    if await session.scalar(going_on) is not None:
        raise errors.Conflict(
            "An evaluation that you started here goes on.", next_step="Wait for it, or cancel it first."
        )
    if contests is not None:
        await _check_contest(session, contests, by)
        # A counter-run looks at other images than the report that it contests.
        settings = settings | {"first_seed": 2**31 + secrets.randbelow(2**30)}
    run = EvaluationRun(
        kind=grid.kind,
        repo_id=repo.id,
        commit_id=commit,
        manifest_sha256=(await manifests.manifest(session, repo, commit)).sha256,
        grid_id=grid.id,
        grid_sha256=grid.sha256,
        settings=settings,
        started_by=by.person_id,
        contests=contests.id if contests else None,
        images_total=total,
    )
    session.add(run)
    await session.flush()  # the job and the page name it
    await _record(session, run, "start", by=by, settings=run.settings, contests=run.contests)
    await jobs.enqueue(session, JOB, {"run": run.id})
    return run


async def _check_contest(session: AsyncSession, report: EvaluationReport, by: Principal) -> None:
    same = sa.select(col(EvaluationRun.id)).where(
        col(EvaluationRun.contests) == report.id,
        col(EvaluationRun.started_by) == by.person_id,
        col(EvaluationRun.state) == RunState.DONE,
    )
    if await session.scalar(same) is not None:
        raise errors.Conflict(
            "You have contested this report with a counter-run already.", next_step="Compare the two reports."
        )


async def get(session: AsyncSession, repo: Repo, run_id: str) -> EvaluationRun:
    """A run of the repository. Raises NotFound."""
    run = await session.get(EvaluationRun, run_id)
    if run is None or run.repo_id != repo.id:
        raise missing()
    return run


def missing() -> errors.NotFound:
    """The answer where there is no such run, or none for whoever asks."""
    return errors.NotFound("There is no such evaluation.", next_step="Look at the list of evaluations.")


async def list_for(
    session: AsyncSession, repo: Repo, *, of: str | None = None, limit: int = 50
) -> Sequence[EvaluationRun]:
    """Runs of the repository, newest first; `of`: only those that this person started."""
    query = sa.select(EvaluationRun).where(col(EvaluationRun.repo_id) == repo.id)
    if of is not None:
        query = query.where(col(EvaluationRun.started_by) == of)
    return (await session.scalars(query.order_by(col(EvaluationRun.id).desc()).limit(limit))).all()


def state_after(act: str) -> RunState:
    """The state that an act leads to. Raises NotFound for a word that is none."""
    if act not in _ACTS:
        raise errors.NotFound("A run is paused, resumed or cancelled.", next_step="Say pause, resume or cancel.")
    return _ACTS[act]


async def change(session: AsyncSession, run: EvaluationRun, to: RunState, *, by: Principal) -> EvaluationRun:
    """Pause, go on with, or cancel a run. What is being made this moment is finished. Raises Conflict if it ended."""
    come_from = {RunState.PAUSED: (RunState.RUNNING,), RunState.RUNNING: (RunState.PAUSED,), RunState.CANCELLED: _OPEN}
    before = run.state
    if before not in come_from[to]:
        raise errors.Conflict(f"This evaluation is {before} now.", next_step="Reload the page.")
    await _end(session, run, to) if to is RunState.CANCELLED else await _step(session, run, state=to)
    if to is RunState.RUNNING:
        await jobs.enqueue(session, JOB, {"run": run.id})
    act = next(act for act, state in _ACTS.items() if state is to)
    await _record(session, run, act, by=by, before=before, after=to)
    return run


async def hold(session: AsyncSession, run_id: str) -> EvaluationRun | None:
    """Take a run in hand for a minute, None when there is nothing to do or another worker has it."""
    won = await session.scalar(
        sa.update(EvaluationRun)
        .where(
            col(EvaluationRun.id) == run_id,
            col(EvaluationRun.state) == RunState.RUNNING,
            sa.or_(col(EvaluationRun.held_until).is_(None), col(EvaluationRun.held_until) < now()),
        )
        .values(held_until=now() + HELD)
        .returning(col(EvaluationRun.id))
    )
    return await session.get(EvaluationRun, run_id, populate_existing=True) if won else None


async def keep_hold(session: AsyncSession, run: EvaluationRun) -> None:
    """Another minute."""
    await _step(session, run, held_until=now() + HELD)


async def let_go(session: AsyncSession, run: EvaluationRun, *, trouble: str = "") -> None:
    """Put a run down; the next part of it is a new job. After a trouble it waits longer and longer, then it fails."""
    fresh = await session.get_one(EvaluationRun, run.id, populate_existing=True, with_for_update=True)
    fresh.held_until = None
    fresh.troubles, fresh.reason = (fresh.troubles + 1, trouble[:2000]) if trouble else (0, fresh.reason)
    if not trouble and fresh.state is RunState.RUNNING:
        fresh.reason = ""
    session.add(fresh)
    if fresh.state is not RunState.RUNNING:
        return
    if fresh.troubles >= MOST_TROUBLES:
        await fail(session, fresh, trouble)
        return
    pause = timedelta(seconds=_FIRST_PAUSE_SECONDS * 2**fresh.troubles) if trouble else timedelta()
    await jobs.enqueue(session, JOB, {"run": run.id}, run_at=now() + pause)


async def fail(session: AsyncSession, run: EvaluationRun, reason: str) -> None:
    """End a run that cannot go on."""
    await _end(session, run, RunState.FAILED, reason=reason[:2000])
    await ledger.record(
        session, "evaluation:run:fail", repo=run.repo_id, subject=run.id, body={"images": run.images_done}
    )


async def finish(session: AsyncSession, run: EvaluationRun) -> None:
    """End a run whose report is made."""
    await _end(session, run, RunState.DONE)


async def recover(session: AsyncSession) -> int:
    """At start: runs that were going on go on, once nobody else has them in hand. Returns how many."""
    left = (await session.scalars(sa.select(EvaluationRun).where(col(EvaluationRun.state) == RunState.RUNNING))).all()
    for run in left:
        await jobs.enqueue(session, JOB, {"run": run.id}, run_at=max(run.held_until or now(), now()))
    return len(left)


async def made(session: AsyncSession, run: EvaluationRun) -> Mapping[Key, EvaluationImage]:
    """The images there are of the run's commit, by their keys; other runs may have made them."""
    rows = await session.scalars(
        sa.select(EvaluationImage).where(
            col(EvaluationImage.repo_id) == run.repo_id, col(EvaluationImage.commit_id) == run.commit_id
        )
    )
    return {(row.prompt_sha256, row.seed, row.settings_sha256): row for row in rows}


async def bind(session: AsyncSession, run: EvaluationRun, checks: Mapping[str, str]) -> None:
    """Bind a run to the checks that look at its images: their digests by name."""
    await _step(session, run, settings={**run.settings, "checks": dict(checks)})


async def keep(session: AsyncSession, run: EvaluationRun, outcomes: Mapping[Shot[Any], Outcome], *, done: int) -> bool:
    """Keep what came of some shots; whether the run still goes on.

    done  how many of the run's images there are with these
    """
    for shot, outcome in outcomes.items():
        prompt_sha256, seed, settings_sha256 = key = shot.key(run.settings)
        if (
            await session.get(EvaluationImage, (run.repo_id, run.commit_id, *key)) is None
        ):  # else another run was faster
            image = EvaluationImage(
                repo_id=run.repo_id,
                commit_id=run.commit_id,
                prompt_sha256=prompt_sha256,
                seed=seed,
                settings_sha256=settings_sha256,
                state=outcome.state,
                image_sha256=outcome.image_sha256,
                flagged_by=list(outcome.flagged_by),
            )
            session.add(image)
    await _step(session, run, images_done=done, held_until=now() + HELD)
    fresh = await session.get_one(EvaluationRun, run.id, populate_existing=True)
    return fresh.state is RunState.RUNNING


async def _end(session: AsyncSession, run: EvaluationRun, state: RunState, **values: Any) -> None:
    await _step(session, run, state=state, ended_at=now(), held_until=None, **values)


async def _step(session: AsyncSession, run: EvaluationRun, **values: Any) -> None:
    # By statement, so that a worker's stale copy never undoes a pause or a cancellation.
    await session.execute(sa.update(EvaluationRun).where(col(EvaluationRun.id) == run.id).values(**values))
    for name, value in values.items():
        set_committed_value(run, name, value)


async def _record(session: AsyncSession, run: EvaluationRun, act: str, *, by: Principal, **body: Any) -> None:
    await ledger.record(
        session,
        f"evaluation:run:{act}",
        actor=by.person_id,
        token=by.token_id,
        repo=run.repo_id,
        subject=run.id,
        body={"commit": run.commit_id, "grid_sha256": run.grid_sha256, **body},
    )
