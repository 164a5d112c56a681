"""`evaluate safety`: measure a model's safety, as a report bound to its commit."""

import contextlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from gatekeeper import evaluation, generation, licensing, logs, repos
from gatekeeper.accounts import Principal
from gatekeeper.cli.ladder import maintainer
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.generation import SLD_LEVELS, Safety, SafetyEvaluation, SafetyReport, Supervisor, Worker
from gatekeeper.generation.client import WorkerError
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.licensing import Catalogue
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo
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
@click.option(
    "--sld", "sld_levels", multiple=True, help="Another level of steering than the stage's; with --as several, or all."
)
@click.option(
    "--check", "image_checks", multiple=True, help="A further image check of the worker, as a second opinion."
)
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
@click.option("--as", "actor", help="Maintainer in whose name the report is signed and kept with the model.")
@json_option
@pass_house
@command
async def evaluate_safety(
    house: House,
    repository: str,
    revision: str,
    prompts_file: Path | None,
    stage: str | None,
    sld_levels: tuple[str, ...],
    image_checks: tuple[str, ...],
    steps: int,
    images: int,
    most: int | None,
    past_rules: bool,
    prompts_only: bool,
    out: Path,
    actor: str | None,
    as_json: bool,
) -> None:
    """Run a set of prompts through REPOSITORY's model with the safety of a stage, and write safety.json and safety.md.

    Images are made by a worker of its own, checked as any, and thrown away. The report holds no prompt.

    With --as, the prompts are screened, then images of all that hard rules leave are made at each level of steering,
    and the report is signed, bound to the revision's files, and shown with the model.
    """
    if actor is None and len(sld_levels) > 1:
        raise Failure("Several levels of steering need --as NAME: they make one report, which is signed.")
    if actor is not None and (past_rules or prompts_only):
        raise Failure("--as looks before and behind the rules by itself: leave out --past-rules and --prompts-only.")
    async with house.read() as session:
        repo = await require_repo(session, repository)
        by = await maintainer(session, repo, actor) if actor else None
        commit = await repos.resolve_revision(session, repo, revision)
        manifest = await generation.worker_manifest(session, repo, commit)
        safety = Safety.load(house.policies_dir)
        terms = await licensing.terms_for(session, repo, commit, stage=stage or "")
        catalogue = Catalogue.load(house.policies_dir)
        digests = terms.texts if terms else ()
        known = [await licensing.recognized(session, sha256, catalogue=catalogue) for sha256 in digests]
    level = generation.under_license(safety.at(Stage(stage) if stage else None), safety, known)
    prompts = prompts_file or bundled_dir("policies") / "evaluations" / "prompts.toml"
    rules_file = os.environ.get("INFERENCE_RULES_FILE")
    rules = Path(rules_file) if rules_file else None

    def plan(sld_level: str, *, is_past_rules: bool) -> SafetyEvaluation:
        return SafetyEvaluation.plan(
            manifest,
            prompts,
            replace(level, steps=steps, images=images),
            sld_level=sld_level,
            is_past_rules=is_past_rules,
            image_checks=image_checks,
            most=most,
        )

    try:
        once = plan("".join(sld_levels) if actor is None else "", is_past_rules=past_rules)
        plans = [once] if actor is None else [plan(each, is_past_rules=True) for each in sld_levels or SLD_LEVELS]
        screened = once.screen(rules) if prompts_only or actor is not None else None
        found = [] if screened is None else [_Told.of(screened)]
        if not prompts_only:
            found += await _make(house, plans, out if by else None)
    except (ValueError, WorkerError, TimeoutError) as error:
        raise Failure(str(error) or "The inference process did not start in time.") from error
    if by is not None:
        await _sign(house, repo, commit, by, [told.data for told in found])
    value = found[0].data if by is None else [told.data for told in found]
    text = "\n".join(told.text for told in found)
    _write(out, {"safety.json": json.dumps(value, indent=1) + "\n", "safety.md": text})
    for plan_made in plans if by else ():
        _part(out, plan_made).unlink(missing_ok=True)
    show(value, text, as_json=as_json)


@dataclass(frozen=True)
class _Told:
    """What one evaluation came to, for machines and for people."""

    data: dict[str, Any]
    text: str

    @classmethod
    def of(cls, report: SafetyReport) -> "_Told":
        return cls(report.as_json(), report.as_markdown())


async def _make(house: House, plans: Sequence[SafetyEvaluation], folder: Path | None) -> list[_Told]:
    """Carry out evaluations. In `folder` each is kept once it is whole, and found by the same command again."""
    logs.configure()  # on stderr, beside the report
    found: list[_Told] = []
    async with _worker(house) as worker, contextlib.AsyncExitStack() as stack:
        for file in plans[0].manifest.files:
            if file.inline is None:
                await stack.enter_async_context(house.store.at_hand(object_key(file.sha256)))
        for plan in plans:
            part = _part(folder, plan) if folder else None
            if part is not None and part.is_file():
                found.append(_Told(**json.loads(part.read_text("utf-8"))))
            else:
                found.append(_Told.of(await plan.run(worker)))
                if part is not None:
                    _write(part.parent, {part.name: json.dumps(asdict(found[-1]))})
            click.echo(f"{len(found)} of {len(plans)} levels of steering", err=True)
    return found


def _part(folder: Path, plan: SafetyEvaluation) -> Path:
    return folder / f"safety-part-{plan.key[:16]}.json"


async def _sign(house: House, repo: Repo, commit: str, by: Principal, found: Sequence[dict[str, Any]]) -> None:
    screened, *made = found
    if any(each["setting"]["rules_sha256"] != screened["setting"]["rules_sha256"] for each in made):
        raise Failure("The worker screens with other rules than this process: set INFERENCE_RULES_FILE to its file.")
    body = evaluation.safety.written(screened, made)
    async with house.write() as session:
        report = await evaluation.safety.sign(session, repo, commit, body, by=by, key=house.keys.signing)
    click.echo(f"Safety report {report.id}, signed.", err=True)


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
