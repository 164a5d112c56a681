"""From the images of an evaluation to its signed report: a reader of the inference process looks at them first."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import evaluation, generation
from gatekeeper.errors import Unavailable
from gatekeeper.evaluation import AnyGrid, EvaluationRun, Grid, PromptSet, Reader, ReportKind, reports, runs
from gatekeeper.evaluation.safety import OWN_CHECK
from gatekeeper.generation import Health, measuring
from gatekeeper.repos import Repo, history
from gatekeeper.web.state import Gatekeeper

READ_AT_ONCE = 64
_ANSWER_SECONDS = 2


class Stopped(Exception):
    """The run cannot go on; the text says why."""


class Trouble(Exception):
    """It may go on later; the text says what stood in the way."""


async def attached(gatekeeper: Gatekeeper) -> Health | None:
    """The inference process with its readers and checks, None where it does not answer soon."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await _health(gatekeeper)
    except (Unavailable, TimeoutError):
        return None


def lacking(health: Health, kind: ReportKind, settings: Mapping[str, Any]) -> dict[str, str]:
    """What a run with these settings needs and the inference process does not have: a sentence for each setting."""
    found = {}
    if kind is ReportKind.BIAS:
        here = {reader.sha256: reader.name for reader in health.readers if not reader.fault}
        if settings["reader"] and settings["reader"] not in here:
            named = ", ".join(f"{name} ({sha256})" for sha256, name in here.items()) or "no reader"
            found["reader"] = f"This reader is not attached to the inference process, which has {named}."
    if {health.rules.sha256, measuring.rules_here().sha256} != {settings.get("rules_sha256")}:
        found["rules"] = (
            "The inference process screens with other rules than this evaluation began with, or than this process: "
            "set INFERENCE_RULES_FILE to its file."
        )
    present = _digests(health, settings)
    if missing := _checks(settings) - set(present):
        named = f"No image check named {', '.join(sorted(missing))} is attached to the inference process"
        found["checks"] = f"{named}, which has {', '.join(health.image_checks) or 'none'}."
    elif changed := [name for name, sha256 in settings.get("checks", present).items() if present.get(name) != sha256]:
        found["checks"] = f"The image check {', '.join(changed)} is another one than this evaluation began with."
    return found


def _checks(settings: Mapping[str, Any]) -> set[str]:
    """Those beside the model's own."""
    return {*settings.get("image_checks", ()), *settings.get("further_checks", ())}


def _digests(health: Health, settings: Mapping[str, Any]) -> dict[str, str]:
    """What the checks are that look at the images of a run with these settings, by name."""
    return {name: health.checks[name] for name in sorted({OWN_CHECK, *_checks(settings)} & set(health.checks))}


async def require_attached(gatekeeper: Gatekeeper, run: EvaluationRun) -> None:
    """A run goes on only with the reader, the rules and the checks that it began with; its first part binds it to the
    checks. Raises Stopped, Unavailable.
    """
    health = await _health(gatekeeper)
    if lost := lacking(health, run.kind, run.settings):
        raise Stopped(" ".join(lost.values()))
    if "checks" not in run.settings:
        async with gatekeeper.db.write() as session:
            await runs.bind(session, run, _digests(health, run.settings))


async def report(gatekeeper: Gatekeeper, run: EvaluationRun, repo: Repo, grid: AnyGrid) -> None:
    """Look at the images of a run, all of which are there, and sign what was found. Raises Stopped, Trouble."""
    found = await (_people(gatekeeper, run, repo, grid) if isinstance(grid, Grid) else _harm(gatekeeper, run, grid))
    async with gatekeeper.db.write() as session:
        fresh = await session.get_one(EvaluationRun, run.id, populate_existing=True, with_for_update=True)
        if fresh.state is evaluation.RunState.RUNNING:
            await reports.make(session, fresh, repo, grid, found, key=gatekeeper.keys.signing)


async def _harm(gatekeeper: Gatekeeper, run: EvaluationRun, prompts: PromptSet) -> dict[str, Any]:
    """The body of a safety report."""
    health = await _health(gatekeeper)
    texts = [(prompt.number, prompt.text, prompt.negative) for prompt in prompts.prompts]
    screened = await asyncio.to_thread(measuring.refused, texts, run.settings["restrictions"])
    async with gatekeeper.db.read() as session:
        made = await reports.images_of(session, run, prompts)
    return evaluation.safety.written(
        prompts,
        made,
        run.settings,
        screened=screened,
        rules_version=health.rules.version,
        is_fake=health.is_fake,
    )


async def _people(gatekeeper: Gatekeeper, run: EvaluationRun, repo: Repo, grid: Grid) -> dict[str, Any]:
    """The body of a bias report."""
    wanted = run.settings["reader"]
    reader = await _reader(gatekeeper, wanted) if wanted else None
    if reader is not None:
        await _look(gatekeeper, run, grid, reader)
    async with gatekeeper.db.read() as session:
        samples = await reports.samples_of(session, run, grid, reader_sha256=wanted)
        vocabulary = await _vocabulary(session, repo, run.commit_id)
    body = await asyncio.to_thread(reports.written, grid, samples, reader, vocabulary)
    return body | {"is_fake": (await _health(gatekeeper)).is_fake}


async def _reader(gatekeeper: Gatekeeper, sha256: str) -> Reader:
    found = {reader.sha256: reader for reader in await readers(gatekeeper)}
    if sha256 not in found:
        raise Stopped("The reader that this grid names is not attached to the inference process.")
    return found[sha256]


async def readers(gatekeeper: Gatekeeper) -> list[Reader]:
    """Who can look at images here. Raises Unavailable."""
    facts = (await _health(gatekeeper)).readers
    return [Reader(e.sha256, e.name, e.grouped_by, e.attributes, e.confusion) for e in facts if not e.fault]


async def _health(gatekeeper: Gatekeeper) -> Health:
    try:
        return await gatekeeper.studio.require_worker().health()
    except generation.WorkerError as lost:
        raise Unavailable("The inference process does not answer.", next_step="Try again in a minute.") from lost


async def _look(gatekeeper: Gatekeeper, run: EvaluationRun, grid: Grid, reader: Reader) -> None:
    async with gatekeeper.db.read() as session:
        images = [image for _, image in await reports.images_of(session, run, grid)]
        left = await reports.unread(session, images, reader.sha256)
    worker = gatekeeper.studio.require_worker()
    for start in range(0, len(left), READ_AT_ONCE):
        digests = left[start : start + READ_AT_ONCE]
        pngs = [await gatekeeper.pictures.read(digest) for digest in digests]
        try:
            seen = await worker.read(reader.sha256, pngs)
        except generation.WorkerError as lost:
            raise Trouble("The inference process went away while images were looked at.") from lost
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
