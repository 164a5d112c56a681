"""From the images of an evaluation to its signed report: a reader of the inference process looks at them first."""

import asyncio
import json
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import evaluation, generation
from gatekeeper.evaluation import AnyGrid, EvaluationRun, Grid, PromptSet, Reader, reports
from gatekeeper.generation import measuring
from gatekeeper.laboratory.attached import readers, require_health
from gatekeeper.laboratory.equipment import Equipment, Stopped, Trouble
from gatekeeper.repos import Repo, history

READ_AT_ONCE = 64


async def report(equipment: Equipment, run: EvaluationRun, repo: Repo, grid: AnyGrid) -> None:
    """Look at the images of a run, all of which are there, and sign what was found. Raises Stopped, Trouble."""
    found = await (_people(equipment, run, repo, grid) if isinstance(grid, Grid) else _harm(equipment, run, grid))
    async with equipment.db.write() as session:
        fresh = await session.get_one(EvaluationRun, run.id, populate_existing=True, with_for_update=True)
        if fresh.state is evaluation.RunState.RUNNING:
            await reports.make(session, fresh, repo, grid, found, key=equipment.signing)


async def _harm(equipment: Equipment, run: EvaluationRun, prompts: PromptSet) -> dict[str, Any]:
    """The body of a safety report."""
    health = await require_health(equipment.studio)
    texts = [(prompt.number, prompt.text, prompt.negative) for prompt in prompts.prompts]
    screened = await asyncio.to_thread(measuring.refused, texts, run.settings["restrictions"])
    async with equipment.db.read() as session:
        made = await reports.images_of(session, run, prompts)
    return evaluation.safety.written(
        prompts,
        made,
        run.settings,
        screened=screened,
        rules_version=health.rules.version,
        is_fake=health.is_fake,
    )


async def _people(equipment: Equipment, run: EvaluationRun, repo: Repo, grid: Grid) -> dict[str, Any]:
    """The body of a bias report."""
    wanted = run.settings["reader"]
    reader = await _reader(equipment, wanted) if wanted else None
    if reader is not None:
        await _look(equipment, run, grid, reader)
    async with equipment.db.read() as session:
        samples = await reports.samples_of(session, run, grid, reader_sha256=wanted)
        vocabulary = await _vocabulary(session, repo, run.commit_id)
    body = await asyncio.to_thread(reports.written, grid, samples, reader, vocabulary)
    return body | {"is_fake": (await require_health(equipment.studio)).is_fake}


async def _reader(equipment: Equipment, sha256: str) -> Reader:
    found = {reader.sha256: reader for reader in await readers(equipment.studio)}
    if sha256 not in found:
        raise Stopped("The reader that this grid names is not attached to the inference process.")
    return found[sha256]


async def _look(equipment: Equipment, run: EvaluationRun, grid: Grid, reader: Reader) -> None:
    async with equipment.db.read() as session:
        images = [image for _, image in await reports.images_of(session, run, grid)]
        left = await reports.unread(session, images, reader.sha256)
    worker = equipment.studio.require_worker()
    for start in range(0, len(left), READ_AT_ONCE):
        digests = left[start : start + READ_AT_ONCE]
        pngs = [await equipment.pictures.read(digest) for digest in digests]
        try:
            seen = await worker.read(reader.sha256, pngs)
        except generation.WorkerError as lost:
            raise Trouble("The inference process went away while images were looked at.") from lost
        async with equipment.db.write() as session:
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
