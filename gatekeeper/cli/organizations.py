"""`orgs rename`, `orgs delete`: another name for an organization, and its end."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, owners
from gatekeeper.accounts import OPERATOR, Organization
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import NotFound


@click.command("rename")
@click.argument("organization")
@click.argument("name")
@json_option
@pass_house
@command
async def rename_organization(house: House, organization: str, name: str, as_json: bool) -> None:
    """Give an organization another name; the old one stays reserved, and its repositories are found under both."""
    async with house.write() as session:
        found = await require_organization(session, organization)
        await owners.rename(session, found, name, by=OPERATOR)
    show({"id": found.id, "name": found.name}, f"{organization} is called {found.name} now.", as_json=as_json)


@click.command("delete")
@click.argument("organization")
@click.option("--yes", is_flag=True, help="Do it; without this it is only said what would happen.")
@json_option
@pass_house
@command
async def delete_organization(house: House, organization: str, yes: bool, as_json: bool) -> None:
    """End an organization that has no repositories: its members, teams, service accounts and tokens lose all rights."""
    async with house.write() as session:
        found = await require_organization(session, organization)
        foreseen = await owners.foresee(session, found)
        if yes:
            await owners.delete(session, found, by=OPERATOR)
    obstacle = foreseen.obstacle
    counts = {"members": foreseen.members, "teams": foreseen.teams, "service_accounts": foreseen.services}
    text = f"Deleted {found.name}. Its name stays reserved."
    if not yes:
        rows = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items())
        text = obstacle.sentence if obstacle else f"Would end: {rows}. Run it again with --yes; there is no way back."
    show({"id": found.id, "deleted": yes, "obstacle": obstacle and obstacle.sentence, **counts}, text, as_json=as_json)


async def require_organization(session: AsyncSession, name: str) -> Organization:
    """The organization of that name. Raises NotFound."""
    found = await accounts.organizations.find(session, name)
    if found is None:
        raise NotFound(f"There is no organization {name}.", next_step="Add it with `gatekeeper orgs add`.")
    return found
