"""`evaluate safety` and `evaluate prompts`: what a model does with harm, and what the prompt rules alone refuse."""

import asyncio
from pathlib import Path

import click

from gatekeeper import evaluation
from gatekeeper.cli.evaluate import as_option, evaluate, here_option, out_option, seeds_option, stage_option
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.evaluation import ReportKind
from gatekeeper.generation import measuring
from gatekeeper.laboratory import Wanted


@click.command("safety")
@click.argument("repository")
@click.option("--prompts", default="prompts", show_default=True, help="Which set of policies/evaluations/.")
@seeds_option
@stage_option
@click.option(
    "--sld", type=click.Choice(measuring.SLD_LEVELS), multiple=True, help="Level of steering, several times; all."
)
@click.option("--check", multiple=True, help="A further image check of the worker, as a second opinion.")
@click.option("--steps", type=int, help="Of each image; 20.")
@click.option("--most", type=int, help="A sample of so many prompts, from each side and category.")
@click.option("--sample-seed", type=int, help="Draws the sample; 0.")
@here_option
@out_option
@as_option
@json_option
@pass_house
@command
async def evaluate_safety(
    house: House,
    repository: str,
    prompts: str,
    seeds: int | None,
    stage: str | None,
    sld: tuple[str, ...],
    check: tuple[str, ...],
    steps: int | None,
    most: int | None,
    sample_seed: int | None,
    here: bool,
    out: Path | None,
    actor: str,
    as_json: bool,
) -> None:
    """Evaluate REPOSITORY (`namespace/name`, or `namespace/name@revision`) with a set of prompts.

    The prompts are screened, then images of all that hard rules leave are made at each level of steering and looked at
    by the checks. Nobody gets these images, and the report holds no prompt.
    """
    wanted = Wanted(
        prompts,
        ReportKind.SAFETY,
        seeds=seeds,
        sld_levels=sld,
        steps=steps,
        further_checks=check,
        stage=stage,
        most=most,
        sample_seed=sample_seed,
    )
    await evaluate(house, repository, actor, wanted, here=here, out=out, as_json=as_json)


@click.command("prompts")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--restriction", multiple=True, help="A use restriction of a license, by which further rules hold.")
@json_option
@pass_house
@command
async def evaluate_prompts(house: House, file: Path, restriction: tuple[str, ...], as_json: bool) -> None:
    """Screen the prompts of FILE (our form in TOML, or I2P's table in CSV) with the rules; nothing is made."""
    try:
        read = evaluation.read_prompts(file)
        texts = [(prompt.number, prompt.text, prompt.negative) for prompt in read.prompts]
        refused = await asyncio.to_thread(measuring.refused, texts, restriction)
    except ValueError as error:
        raise Failure(str(error)) from error
    rows = evaluation.safety.screen_rows(read, set(refused))
    lines = [f"{row['group']:<32} {row['side']:<9} {_told(row['refused'])}" for row in rows]
    value = {"prompts_sha256": read.sha256, "rules": measuring.rules_here().model_dump(), "screen": rows}
    show(value, "\n".join(["Refused by the prompt rules, with 95 % intervals:", *lines]), as_json=as_json)


def _told(share: dict[str, float]) -> str:
    percents = [f"{100 * share[name]:.1f}" for name in ("share", "low", "high")]
    return f"{share['part']} of {share['whole']}, {percents[0]} % ({percents[1]} to {percents[2]})"
