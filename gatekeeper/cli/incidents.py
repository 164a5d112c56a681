"""`incidents`: what went wrong, at a terminal. Links and acts about them are on the pages."""

import click
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import accounts, incidents, repos
from gatekeeper.accounts import Principal
from gatekeeper.cli.ladder import as_option, both, maintainer
from gatekeeper.cli.people import require_person
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import NotFound
from gatekeeper.incidents import Incident, Severity
from gatekeeper.kit.canonical import instant_text
from gatekeeper.repos import Repo

_MOST = 200


@click.group("incidents")
def incidents_group() -> None:
    """Reports of problems, and incidents."""


@incidents_group.command("list")
@click.argument("repository", required=False)
@click.option("--all", "with_ended", is_flag=True, help="Closed and dismissed ones too.")
@json_option
@pass_house
@command
async def list_incidents(house: House, repository: str | None, with_ended: bool, as_json: bool) -> None:
    """What waits or is open, of REPOSITORY or of the whole hub, newest first."""
    states = tuple(incidents.IncidentState) if with_ended else incidents.WAITING
    async with house.read() as session:
        repo = await require_repo(session, repository) if repository else None
        where = None if repo is None else col(Repo.id) == repo.id
        page = await incidents.listing(session, repos=where, states=states, limit=_MOST)
        rows = [_row(each) for each in page.items]
    lines = [f"{row['id']}  {row['state']:<9} {row['severity']:<8} {row['title']}" for row in rows]
    show(rows, "\n".join(lines) or "There are none.", as_json=as_json)


@incidents_group.command("open")
@click.argument("repository")
@click.option("--title", required=True, help="What happened, in a line.")
@click.option(
    "--severity",
    type=click.Choice([each.value for each in Severity]),
    default="medium",
    show_default=True,
    help="How bad it is; high and critical stop promotions.",
)
@click.option("--description", required=True, help="What is known, since when, and how it came to light.")
@as_option
@json_option
@pass_house
@command
async def open_incident(
    house: House, repository: str, title: str, severity: str, description: str, actor: str, as_json: bool
) -> None:
    """Open an incident about REPOSITORY."""
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        made = await incidents.open_incident(
            session,
            repo,
            title=title,
            description=description,
            severity=Severity(severity),
            by=by,
        )
        row = _row(made)
    show(row, f"Opened {row['id']}: {house.settings.public_url}/admin/incidents/{row['id']}", as_json=as_json)


@incidents_group.command("close")
@click.argument("incident_id")
@click.option("--note", required=True, help="What everybody reads.")
@as_option
@json_option
@pass_house
@command
async def close(house: House, incident_id: str, note: str, actor: str, as_json: bool) -> None:
    """Close an incident with a public note."""
    async with house.write() as session:
        found = await incidents.get(session, incident_id)
        by = await _handler(session, found, actor)
        closed = await incidents.close(session, found, public_note=note, by=by)
        row = _row(closed)
    show(row, f"Closed {row['id']}. The note is public from now on.", as_json=as_json)


async def _handler(session: AsyncSession, incident: Incident, name: str) -> Principal:
    """The person called `name`, who handles this incident. Raises NotFound."""
    repo: Repo | None = await repos.by_id(session, incident.repo_id) if incident.repo_id else None
    if repo is not None:
        return await maintainer(session, repo, name)
    person = await require_person(session, name)
    if not person.is_admin:
        raise NotFound(f"{person.name} does not run this hub.", next_step="Name an administrator with --as.")
    return await accounts.principals.for_person(session, person)


def _row(incident: Incident) -> dict[str, str]:
    return {
        "id": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "title": incident.title,
        "reported_at": instant_text(incident.reported_at),
    }
