"""`people export`, `erase`, `hold`, `lift-hold`: what the hub knows about a person, and forgetting it."""

import json

import click

from gatekeeper import privacy
from gatekeeper.accounts import OPERATOR
from gatekeeper.cli.people import require_person
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.generation import ImageFolder


@click.command("export")
@click.argument("name")
@pass_house
@command
async def export_person(house: House, name: str) -> None:
    """Print everything that is known about a person, as JSON, to be handed to them."""
    async with house.read() as session:
        person = await require_person(session, name)
        value = await privacy.export_of(session, person)
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


@click.command("erase")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it; without this it is only said what would happen.")
@json_option
@pass_house
@command
async def erase_person(house: House, name: str, yes: bool, as_json: bool) -> None:
    """Forget a person for good: account, keys, answers, acceptances, images and prompts. Proofs stay valid."""
    if not yes:
        async with house.read() as session:
            foreseen = await privacy.foresee(session, await require_person(session, name))
        obstacle = foreseen.obstacle
        rows = ", ".join(f"{count} {table}" for table, count in foreseen.counts.items())
        text = (
            obstacle.sentence if obstacle else f"Would remove: {rows}. Run it again with --yes; there is no way back."
        )
        show({"obstacle": obstacle and obstacle.sentence, "removed": foreseen.counts}, text, as_json=as_json)
        return
    async with house.write() as session:
        person = await require_person(session, name)
        images = ImageFolder(house.settings.data_dir.resolve() / "images")
        gone = await privacy.erase(session, person, images=images, by=OPERATOR)
    await house.db.purge()
    show({"id": person.id, "removed": gone}, f"{name} is forgotten. The number left is {person.id}.", as_json=as_json)


@click.command("hold")
@click.argument("name")
@click.option("--reason", required=True, help="The claim that it serves.")
@json_option
@pass_house
@command
async def hold_person(house: House, name: str, reason: str, as_json: bool) -> None:
    """Keep a person's records although they or a period would end them (legal hold)."""
    async with house.write() as session:
        person = await require_person(session, name)
        await privacy.hold(session, person, reason=reason, by=OPERATOR)
    show({"id": person.id, "held": True}, f"The records of {person.name} are held.", as_json=as_json)


@click.command("lift-hold")
@click.argument("name")
@json_option
@pass_house
@command
async def lift_hold(house: House, name: str, as_json: bool) -> None:
    """End a legal hold."""
    async with house.write() as session:
        person = await require_person(session, name)
        await privacy.lift_hold(session, person, by=OPERATOR)
    show({"id": person.id, "held": False}, f"The records of {person.name} are held no more.", as_json=as_json)
