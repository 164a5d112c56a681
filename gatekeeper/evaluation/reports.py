"""Reports: what a run found, bound to a manifest digest, signed, in the log."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import errors, ledger, licensing
from gatekeeper.accounts.principal import Principal
from gatekeeper.evaluation import runs, safety
from gatekeeper.evaluation.analysis import Reader, Sample, analyse, figures_of
from gatekeeper.evaluation.grids import Grid
from gatekeeper.evaluation.runs import AnyGrid
from gatekeeper.evaluation.shots import Shot
from gatekeeper.evaluation.tables import (
    EvaluationImage,
    EvaluationReading,
    EvaluationReport,
    EvaluationRun,
    EvaluationTalk,
    ImageState,
    ReportKind,
)
from gatekeeper.kit.canonical import digest_of, instant_text
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.licensing.receipt import EVALUATION
from gatekeeper.repos.tables import Repo

FLOAT = np.dtype("<f4")


async def unread(session: AsyncSession, images: Sequence[EvaluationImage], reader_sha256: str) -> list[str]:
    """Digests of images that this reader has not looked at."""
    wanted = {image.image_sha256 for image in images if image.state is ImageState.MADE}
    known = await session.scalars(
        sa.select(col(EvaluationReading.image_sha256)).where(col(EvaluationReading.reader_sha256) == reader_sha256)
    )
    return sorted(wanted - set(known))


async def keep_readings(
    session: AsyncSession, reader_sha256: str, readings: Mapping[str, tuple[Sequence[float], Mapping[str, str]]]
) -> None:
    """Keep what a reader saw, by the image's digest: (embedding, labels)."""
    for digest, (embedding, labels) in readings.items():
        if await session.get(EvaluationReading, (digest, reader_sha256)) is None:
            packed = np.asarray(embedding, dtype=FLOAT).tobytes()
            row = EvaluationReading(image_sha256=digest, reader_sha256=reader_sha256, embedding=packed)
            row.labels = dict(labels)
            session.add(row)


async def images_of(
    session: AsyncSession, run: EvaluationRun, grid: AnyGrid
) -> list[tuple[Shot[Any], EvaluationImage]]:
    """What came of every shot of a run. Raises Conflict while some are missing."""
    images = await runs.made(session, run)
    shots: list[Shot[Any]] = list(grid.shots(run.settings))
    if any(shot.key(run.settings) not in images for shot in shots):
        raise errors.Conflict("Images of this evaluation are missing.", next_step="Let it go on.")
    return [(shot, images[shot.key(run.settings)]) for shot in shots]


async def samples_of(
    session: AsyncSession, run: EvaluationRun, grid: Grid, *, reader_sha256: str | None = None
) -> list[Sample]:
    """The images of a run with what its reader saw. Raises Conflict while some are missing."""
    rows = await session.scalars(
        sa.select(EvaluationReading).where(col(EvaluationReading.reader_sha256) == (reader_sha256 or ""))
    )
    seen = {row.image_sha256: row for row in rows}
    found = []
    for shot, image in await images_of(session, run, grid):
        read = seen.get(image.image_sha256)
        found.append(
            Sample(
                prompt=shot.prompt,
                guidance_scale=shot.guidance_scale,
                seed=shot.seed,
                state=image.state,
                image_sha256=image.image_sha256,
                embedding=np.frombuffer(read.embedding, dtype=FLOAT).astype(float) if read else None,
                labels=read.labels if read else {},
            )
        )
    return found


def written(grid: Grid, samples: Sequence[Sample], reader: Reader | None, vocabulary: Any) -> dict[str, Any]:
    """The body of a report; it takes seconds and needs no session. Each image is in it, by digest."""
    body = analyse(grid, samples, reader, vocabulary)
    body["reader"] = {"sha256": reader.sha256, "name": reader.name} if reader else None
    body["images"] = [
        {
            "prompt": sample.prompt.text,
            "profession": sample.prompt.profession,
            "adjective": sample.prompt.adjective,
            "markers": dict(sample.prompt.markers),
            "guidance_scale": sample.guidance_scale,
            "seed": sample.seed,
            "state": sample.state.value,
            "sha256": sample.image_sha256,
        }
        for sample in samples
    ]
    return body


async def make(
    session: AsyncSession, run: EvaluationRun, repo: Repo, grid: AnyGrid, body: dict[str, Any], *, key: SigningKey
) -> EvaluationReport:
    """Sign the report of a run whose images are all there, and end the run."""
    report = EvaluationReport(
        kind=run.kind,
        run_id=run.id,
        repo_id=run.repo_id,
        commit_id=run.commit_id,
        manifest_sha256=run.manifest_sha256,
        grid_id=grid.id,
        grid_sha256=grid.sha256,
        seeds=run.settings["seeds"],
        figures=figures_of(body) if run.kind is ReportKind.BIAS else safety.figures_of(body),
        body={**body, "settings": run.settings, "grid": {"title": grid.title, "version": grid.version}},
        contests=run.contests,
        made_at=now(),
    )
    await _sign(session, report, repo, key=key)
    await runs.finish(session, run)
    return report


async def _sign(session: AsyncSession, report: EvaluationReport, repo: Repo, *, key: SigningKey) -> None:
    statement = {
        "receipt_id": report.id,
        "kind": report.kind.value,
        "repository": repo.full_name,
        "repository_id": repo.id,
        "commit": report.commit_id,
        "manifest_sha256": report.manifest_sha256,
        "grid": {"id": report.grid_id, "version": report.body["grid"]["version"], "sha256": report.grid_sha256},
        "seeds": report.seeds,
        "settings": report.body["settings"],
        "reader": report.body.get("reader"),
        "counts": report.body["counts"],
        "figures": report.figures,
        "body_sha256": digest_of(report.body),
        "contests": report.contests,
        "made_at": instant_text(report.made_at),
    }
    event = await ledger.record(
        session,
        "evaluation:report:sign",
        repo=report.repo_id,
        subject=report.id,
        body={
            "kind": report.kind.value,
            "statement_sha256": digest_of(statement),
            "manifest_sha256": report.manifest_sha256,
            "grid_sha256": report.grid_sha256,
            "contests": report.contests,
        },
    )
    report.receipt = licensing.sign_receipt(EVALUATION, statement, event=event.id, key=key)
    session.add(report)


async def get(session: AsyncSession, repo: Repo, report_id: str) -> EvaluationReport:
    """A report of the repository. Raises NotFound."""
    report = await session.get(EvaluationReport, report_id)
    if report is None or report.repo_id != repo.id:
        raise errors.NotFound("There is no such report.", next_step="Look at the list of evaluations.")
    return report


async def of_run(session: AsyncSession, run: EvaluationRun) -> EvaluationReport:
    """The report that a run ended with. Raises NotFound."""
    found = await session.scalar(sa.select(EvaluationReport).where(col(EvaluationReport.run_id) == run.id))
    if found is None:
        raise errors.NotFound("This evaluation has no report yet.", next_step="Wait until it is done.")
    return found


async def files_of(session: AsyncSession, repo: Repo, kind: ReportKind, grid_id: str) -> list[tuple[str, str]]:
    """Every report of the repository with a grid, in any of its versions, newest first: (id, digest of its files)."""
    query = sa.select(col(EvaluationReport.id), col(EvaluationReport.manifest_sha256)).where(
        col(EvaluationReport.repo_id) == repo.id,
        col(EvaluationReport.kind) == kind,
        col(EvaluationReport.grid_id) == grid_id,
    )
    rows = await session.execute(query.order_by(col(EvaluationReport.id).desc()))
    return [(row.id, row.manifest_sha256) for row in rows]


async def commits_of(session: AsyncSession, repo: Repo) -> list[tuple[str, str]]:
    """Every report of the repository, newest first: (id, commit)."""
    query = sa.select(col(EvaluationReport.id), col(EvaluationReport.commit_id))
    query = query.where(col(EvaluationReport.repo_id) == repo.id).order_by(col(EvaluationReport.id).desc())
    return [(row.id, row.commit_id) for row in await session.execute(query)]


async def get_each(session: AsyncSession, ids: Sequence[str]) -> list[EvaluationReport]:
    """The reports with these ids, in their order."""
    rows = await session.scalars(sa.select(EvaluationReport).where(col(EvaluationReport.id).in_(ids)))
    return sorted(rows, key=lambda report: ids.index(report.id))


async def contesting(session: AsyncSession, report: EvaluationReport) -> Sequence[EvaluationReport]:
    """Reports of counter-runs."""
    query = sa.select(EvaluationReport).where(col(EvaluationReport.contests) == report.id)
    return (await session.scalars(query.order_by(col(EvaluationReport.id)))).all()


async def speak_of(session: AsyncSession, report: EvaluationReport, discussion_id: str, *, by: Principal) -> None:
    """Link a report with a discussion or pull request; once is enough."""
    if await session.get(EvaluationTalk, (report.id, discussion_id)) is not None:
        return
    session.add(EvaluationTalk(report_id=report.id, discussion_id=discussion_id))
    await ledger.record(
        session,
        "evaluation:report:speak",
        actor=by.person_id,
        token=by.token_id,
        repo=report.repo_id,
        subject=report.id,
        body={"discussion": discussion_id},
    )


async def spoken_of(session: AsyncSession, discussion_id: str) -> Sequence[EvaluationReport]:
    """Reports that a discussion or pull request is linked with."""
    query = sa.select(EvaluationReport).join(EvaluationTalk, col(EvaluationTalk.report_id) == col(EvaluationReport.id))
    query = query.where(col(EvaluationTalk.discussion_id) == discussion_id)
    return (await session.scalars(query.order_by(col(EvaluationReport.id)))).all()


async def talks_of(session: AsyncSession, report: EvaluationReport) -> Sequence[str]:
    """Ids of the discussions that a report is linked with."""
    query = sa.select(col(EvaluationTalk.discussion_id)).where(col(EvaluationTalk.report_id) == report.id)
    return (await session.scalars(query.order_by(col(EvaluationTalk.discussion_id)))).all()
