"""`repos`: bring directories in, take them out, and check what is stored."""

from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import repos
from gatekeeper.accounts import OPERATOR
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.errors import NotFound
from gatekeeper.repos import Repo, RepoKind


@click.group("repos")
def repos_group() -> None:
    """Repositories."""


@repos_group.command("import")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("repository")
@click.option("--license", "license_id", default="", help="License identifier, written to a card that names none.")
@click.option("--message", default="", help="Title of the commit.")
@json_option
@pass_house
@command
async def import_directory(
    house: House, directory: Path, repository: str, license_id: str, message: str, as_json: bool
) -> None:
    """Commit the files of DIRECTORY to REPOSITORY (namespace/name), which is made if it does not exist."""
    await house.require_current()
    commit = await repos.transfer.import_directory(
        house.db,
        house.store,
        directory,
        repository,
        by=OPERATOR,
        license_id=license_id,
        summary=message or f"Import {directory.name}",
    )
    value = {"repository": repository, "commit": commit}
    show(value, f"Imported {directory} into {repository} at {commit[:12]}.", as_json=as_json)


@repos_group.command("export")
@click.argument("repository")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--revision", default="main", show_default=True)
@json_option
@pass_house
@command
async def export_directory(house: House, repository: str, directory: Path, revision: str, as_json: bool) -> None:
    """Write the files of REPOSITORY into DIRECTORY, which must be empty or not exist."""
    async with house.read() as session:
        repo = await require_repo(session, repository)
        count = await repos.transfer.export_directory(session, house.store, repo, directory, revision=revision)
    show({"files": count}, f"Wrote {count} files to {directory}.", as_json=as_json)


@repos_group.command("verify")
@click.argument("repository", required=False)
@json_option
@pass_house
@command
async def verify(house: House, repository: str | None, as_json: bool) -> None:
    """Hash everything again and report what is missing, damaged or referred to by nothing."""
    async with house.read() as session:
        repo = await require_repo(session, repository) if repository else None
        report = await repos.transfer.verify(session, house.store, repo)
    show(report.as_json(), report.sentence, as_json=as_json)
    if not report.is_intact:
        raise Failure("The store is not intact; restore the named files from a backup.")


async def require_repo(session: AsyncSession, name: str) -> Repo:
    """The repository called `namespace/name` (a model) or `datasets/namespace/name`. Raises NotFound."""
    kind, _, rest = name.partition("/")
    if kind in (RepoKind.DATASET, RepoKind.SPACE, RepoKind.MODEL) and "/" in rest:
        found = await repos.find(session, RepoKind(kind), rest)
    else:
        found = await repos.find(session, RepoKind.MODEL, name)
    if found is None:
        raise NotFound(f"There is no repository {name}.", next_step="Write it as namespace/name.")
    return found
