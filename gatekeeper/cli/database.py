"""`db`: bring the database to the present schema, or check that it is there."""

import click

from gatekeeper import schema
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show


@click.group("db")
def db_group() -> None:
    """The database."""


@db_group.command("upgrade")
@json_option
@pass_house
@command
async def upgrade(house: House, as_json: bool) -> None:
    """Migrate the database to the present schema. Safe to repeat."""
    revision = await schema.upgrade(house.db)
    show({"revision": revision}, f"The database is at revision {revision}.", as_json=as_json)


@db_group.command("check")
@json_option
@pass_house
@command
async def check(house: House, as_json: bool) -> None:
    """Say whether the database has the present schema."""
    is_current = await schema.is_current(house.db)
    show({"current": is_current}, "Up to date." if is_current else "Not up to date.", as_json=as_json)
    if not is_current:
        raise Failure("Run `gatekeeper db upgrade`.")
