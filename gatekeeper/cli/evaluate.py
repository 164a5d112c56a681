"""`evaluate`: what a model does with people, at a terminal."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import click

from gatekeeper import accounts, evaluation, laboratory, ledger, repos
from gatekeeper.accounts import OPERATOR, Principal
from gatekeeper.app import assemble, close
from gatekeeper.cli.evaluate_pages import write_pages
from gatekeeper.cli.ladder import maintainer
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.evaluation import EvaluationReport, EvaluationRun, ReportKind, RunState, reports
from gatekeeper.generation.bundled import NAME, bundled_model_dir
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.laboratory import Wanted
from gatekeeper.releases import Stage
from gatekeeper.repos import RepoKind
from gatekeeper.schema import upgrade
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper
from gatekeeper.worker import EVALUATION_SECONDS, work_once

_IDLE_SECONDS = 0.5
_START_SECONDS = 120

seeds_option = click.option("--seeds", type=int, help="Images of each prompt, instead of the grid's number.")
stage_option = click.option(
    "--stage",
    type=click.Choice([each.value for each in Stage]),
    help="Whose safety holds; that of the proposed stage, else of the next that asks for such a report.",
)
here_option = click.option(
    "--here", is_flag=True, help="Make the images in this process, instead of leaving them to the server."
)
out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write the report here; needs --here."
)
as_option = click.option("--as", "actor", required=True, help="Name of the maintainer who asks for it; it is recorded.")


@click.group("evaluate")
def evaluate_group() -> None:
    """What a model does, measured."""


@evaluate_group.command("bias")
@click.argument("repository")
@click.option("--grid", default="emoji", show_default=True, help="Which grid of policies/evaluations/.")
@seeds_option
@click.option("--guidance", type=float, multiple=True, help="Guidance scale; may be given several times.")
@click.option("--sld", help="Safe Latent Diffusion, where the stage lets you choose: off to max.")
@click.option("--reader", help="Digest of the reader, instead of the grid's.")
@stage_option
@here_option
@out_option
@as_option
@json_option
@pass_house
@command
async def bias(
    house: House,
    repository: str,
    grid: str,
    seeds: int | None,
    guidance: tuple[float, ...],
    sld: str | None,
    reader: str | None,
    stage: str | None,
    here: bool,
    out: Path | None,
    actor: str,
    as_json: bool,
) -> None:
    """Evaluate REPOSITORY (`namespace/name`, or `namespace/name@revision`) with a grid."""
    levels = (sld,) if sld else ()
    wanted = Wanted(grid, seeds=seeds, sld_levels=levels, guidance_scales=guidance, reader=reader, stage=stage)
    await evaluate(house, repository, actor, wanted, here=here, out=out, as_json=as_json)


async def evaluate(
    house: House, repository: str, actor: str, wanted: Wanted, *, here: bool, out: Path | None, as_json: bool
) -> None:
    """Begin a run in a maintainer's name, carry it out if it is to be made here, and tell what came of it."""
    if out is not None and not here:
        raise Failure("--out needs --here: what the server makes is on the model's page.")
    await house.require_current()
    gatekeeper = assemble(house.settings)
    name, _, revision = repository.partition("@")
    try:
        health = await laboratory.health_of(gatekeeper.studio)
        async with gatekeeper.db.write() as session:
            ledger.tell(policy=(await gatekeeper.in_force.refresh(session)).sha256)
            repo = await require_repo(session, name)
            by = await maintainer(session, repo, actor)
            commit = await repos.resolve_revision(session, repo, revision or "main")
            run = await laboratory.begin(
                session, repo, commit, wanted, by=by, policies=gatekeeper.policies, health=health
            )
        report = await carry_out(gatekeeper, run) if here else None
        if report is not None and out is not None:
            await asyncio.to_thread(write_pages, gatekeeper, report, out)
    finally:
        await close(gatekeeper)
    value = {"run": run.id, "images": run.images_total, "report": report.id if report else None}
    if report is None:
        text = f"Evaluation {run.id} waits for the server: {run.images_total} images."
    else:
        figures = [f"{n:<32} {f['value']:.3f} ({f['low']:.3f} to {f['high']:.3f})" for n, f in report.figures.items()]
        text = "\n".join([f"Report {report.id} on {run.images_total} images, signed.", *figures])
        value["figures"] = report.figures
    show(value, text, as_json=as_json)


@evaluate_group.command("bundled")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@seeds_option
@click.option("--safety", "is_safety", is_flag=True, help="Its safety report instead.")
@click.option("--most", type=int, help="Of a safety report: a sample of so many prompts.")
@command
async def bundled(directory: Path, seeds: int | None, is_safety: bool, most: int | None) -> None:
    """Write the bundled model's bias report, with its pictures, into DIRECTORY. Needs no hub: it makes one for itself.

    The model's safety steering is off, so that what is seen can be compared with what the model was trained on. A
    safety report is made with our prompts at every level, and with the second check that the bundled model has.
    """
    wanted = Wanted("emoji", seeds=seeds, sld_levels=("off",), most=most)
    if is_safety:
        checks = bundled_dir("policies") / "evaluations" / "checks-emoji.toml"
        os.environ.setdefault("INFERENCE_CHECKS_FILE", str(checks))  # the inference process gets it from here
        wanted = Wanted("prompts", ReportKind.SAFETY, seeds=seeds, further_checks=("naming",), most=most)
    async with bundled_hub() as (gatekeeper, by, repo, commit):
        async with gatekeeper.db.write() as session:
            run = await laboratory.begin(
                session, repo, commit, wanted, by=by, policies=gatekeeper.policies, health=None
            )
        report = await carry_out(gatekeeper, run)
        await asyncio.to_thread(write_pages, gatekeeper, report, directory)
    click.echo(f"Report on {run.images_total} images written to {directory}.")


@contextlib.asynccontextmanager
async def bundled_hub() -> AsyncIterator[tuple[Gatekeeper, Principal, repos.Repo, str]]:
    """A hub that holds nothing but the bundled model, until the block ends: with its owner, repository and commit."""
    source = bundled_model_dir()
    if source is None:
        raise Failure("The bundled model is not installed.")
    folder = Path(tempfile.mkdtemp(prefix="gatekeeper-evaluate-"))
    gatekeeper = assemble(Settings(data_dir=folder, inference_url="", _env_file=None))
    try:
        await upgrade(gatekeeper.db)
        prepared = await repos.transfer.prepare(gatekeeper.store, source)
        async with gatekeeper.db.write() as session:
            ledger.tell(policy=(await gatekeeper.in_force.refresh(session)).sha256)
            person = await accounts.people.add(session, "evaluator", email="evaluator@example.org", by=OPERATOR)
            by = await accounts.principals.for_person(session, person)
            repo = await repos.create(session, RepoKind.MODEL, "evaluator", NAME, by=by)
            commit = await repos.transfer.commit_prepared(
                session, gatekeeper.store, repo, prepared, by=by, summary="The bundled model"
            )
        yield gatekeeper, by, repo, commit
    finally:
        await close(gatekeeper)
        shutil.rmtree(folder)


async def carry_out(gatekeeper: Gatekeeper, run: EvaluationRun) -> EvaluationReport:
    """Make a run's images here and now, and tell how far it is. Raises Failure when it ends without a report."""
    if gatekeeper.supervisor is not None:
        await gatekeeper.supervisor.start()
        await gatekeeper.supervisor.wait_ready(_START_SECONDS)
    handlers = {evaluation.JOB: lambda payload: laboratory.carry_on(gatekeeper.equipment, payload, seconds=5)}
    try:
        while run.state is RunState.RUNNING:
            if not await work_once(gatekeeper.db, handlers, lease_seconds=EVALUATION_SECONDS):
                await asyncio.sleep(_IDLE_SECONDS)
            async with gatekeeper.db.read() as session:
                run = await session.get_one(EvaluationRun, run.id)
            click.echo(f"{run.images_done} of {run.images_total} images", err=True)
    finally:
        await gatekeeper.studio.close()
        if gatekeeper.supervisor is not None:
            await gatekeeper.supervisor.stop()
    if run.state is not RunState.DONE:
        raise Failure(f"The evaluation ended without a report ({run.state}). {run.reason}")
    async with gatekeeper.db.read() as session:
        return await reports.of_run(session, run)
