"""`evaluate safety`: measure a model's safety, as a report bound to its commit."""

import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import click

from gatekeeper import generation, licensing, logs, repos
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.generation import Safety, SafetyEvaluation, Supervisor, Worker
from gatekeeper.generation.client import WorkerError
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.licensing import Catalogue
from gatekeeper.releases import Stage
from gatekeeper.repos.storage import object_key

_START_SECONDS = 300


@click.command("safety")
@click.argument("repository")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")
@click.option(
    "--prompts",
    "prompts_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A set in our form (TOML), or I2P's table (CSV); ours if left out.",
)
@click.option(
    "--stage", type=click.Choice([each.value for each in Stage]), help="Whose safety applies; none's if left out."
)
@click.option("--sld", "sld_level", default="", help="Another level of steering than the stage's.")
@click.option("--steps", default=20, show_default=True)
@click.option("--images", default=1, show_default=True, help="Images of each prompt.")
@click.option("--most", type=int, help="Only so many prompts.")
@click.option("--past-rules", is_flag=True, help="Look behind the prompt rules: only the hard ones hold.")
@click.option("--prompts-only", is_flag=True, help="Only screen the prompts; nothing is made.")
@click.option(
    "--out",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where both files go.",
)
@json_option
@pass_house
@command
async def evaluate_safety(
    house: House,
    repository: str,
    revision: str,
    prompts_file: Path | None,
    stage: str | None,
    sld_level: str,
    steps: int,
    images: int,
    most: int | None,
    past_rules: bool,
    prompts_only: bool,
    out: Path,
    as_json: bool,
) -> None:
    """Run a set of prompts through REPOSITORY's model with the safety of a stage, and write safety.json and safety.md.

    Images are made by a worker of its own, checked as any, and thrown away. The report holds no prompt.
    """
    async with house.read() as session:
        repo = await require_repo(session, repository)
        commit = await repos.resolve_revision(session, repo, revision)
        manifest = await generation.worker_manifest(session, repo, commit)
        safety = Safety.load(house.policies_dir)
        terms = await licensing.terms_for(session, repo, commit, stage=stage or "")
        catalogue = Catalogue.load(house.policies_dir)
        digests = terms.texts if terms else ()
        known = [await licensing.recognized(session, sha256, catalogue=catalogue) for sha256 in digests]
    level = generation.under_license(safety.at(Stage(stage) if stage else None), safety, known)
    try:
        evaluation = SafetyEvaluation.plan(
            manifest,
            prompts_file or bundled_dir("policies") / "evaluations" / "prompts.toml",
            replace(level, steps=steps, images=images),
            sld_level=sld_level,
            is_past_rules=past_rules,
            most=most,
        )
        if prompts_only:
            rules_file = os.environ.get("INFERENCE_RULES_FILE")
            report = evaluation.screen(Path(rules_file) if rules_file else None)
        else:
            logs.configure()  # on stderr, beside the report
            async with _worker(house) as worker, contextlib.AsyncExitStack() as stack:
                for file in manifest.files:
                    if file.inline is None:
                        await stack.enter_async_context(house.store.at_hand(object_key(file.sha256)))
                report = await evaluation.run(worker)
    except (ValueError, WorkerError, TimeoutError) as error:
        raise Failure(str(error) or "The inference process did not start in time.") from error
    _write(out, {"safety.json": json.dumps(report.as_json(), indent=1) + "\n", "safety.md": report.as_markdown()})
    show(report.as_json(), report.as_markdown(), as_json=as_json)


def _write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


@contextlib.asynccontextmanager
async def _worker(house: House) -> AsyncIterator[Worker]:
    """The worker of the settings, or one that lives as long as this command."""
    settings, key = house.settings, house.keys.inference
    if settings.inference_url not in {"", "off"}:
        worker = Worker(settings.inference_url, key=key)
        try:
            yield worker
        finally:
            await worker.close()
        return
    with tempfile.TemporaryDirectory(prefix="gatekeeper-evaluate-") as directory:
        supervisor = Supervisor(Path(directory), store_dir=house.store.copies, key=key)
        await supervisor.start()
        try:
            await supervisor.wait_ready(_START_SECONDS)
            yield supervisor.worker
        finally:
            await supervisor.stop()
            await supervisor.worker.close()
