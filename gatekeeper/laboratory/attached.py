"""What is attached to the inference process, and what a run needs of it: readers, rules, image checks."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gatekeeper import generation
from gatekeeper.errors import Unavailable
from gatekeeper.evaluation import EvaluationRun, Reader, ReportKind, runs
from gatekeeper.evaluation.safety import OWN_CHECK
from gatekeeper.generation import Health, Studio, measuring
from gatekeeper.laboratory.equipment import Equipment, Stopped

_ANSWER_SECONDS = 2


async def health_of(studio: Studio) -> Health | None:
    """The inference process with its readers and checks, None where it does not answer soon.

    Asked outside of any transaction that writes.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await require_health(studio)
    except (Unavailable, TimeoutError):
        return None


async def require_health(studio: Studio) -> Health:
    """The same, however long it takes. Raises Unavailable."""
    try:
        return await studio.require_worker().health()
    except generation.WorkerError as lost:
        raise Unavailable("The inference process does not answer.", next_step="Try again in a minute.") from lost


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


async def require_attached(equipment: Equipment, run: EvaluationRun) -> None:
    """A run goes on only with the reader, the rules and the checks that it began with; its first part binds it to the
    checks. Raises Stopped, Unavailable.
    """
    health = await require_health(equipment.studio)
    if lost := lacking(health, run.kind, run.settings):
        raise Stopped(" ".join(lost.values()))
    if "checks" not in run.settings:
        async with equipment.db.write() as session:
            await runs.bind(session, run, _digests(health, run.settings))


async def readers(studio: Studio) -> list[Reader]:
    """Who can look at images here. Raises Unavailable."""
    facts = (await require_health(studio)).readers
    return [Reader(e.sha256, e.name, e.grouped_by, e.attributes, e.confusion) for e in facts if not e.fault]


def _checks(settings: Mapping[str, Any]) -> set[str]:
    """Those beside the model's own."""
    return {*settings.get("image_checks", ()), *settings.get("further_checks", ())}


def _digests(health: Health, settings: Mapping[str, Any]) -> dict[str, str]:
    """What the checks are that look at the images of a run with these settings, by name."""
    return {name: health.checks[name] for name in sorted({OWN_CHECK, *_checks(settings)} & set(health.checks))}
