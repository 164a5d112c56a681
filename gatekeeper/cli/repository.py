"""`repos`: bring directories in, take them out, and check what is stored."""

from dataclasses import asdict
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, releases, repos
from gatekeeper.accounts import Principal, Role
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.kit.clock import now
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
    kind, namespace, name = split_name(repository)
    prepared = await repos.transfer.prepare(house.store, directory, kind=kind)
    if license_id:
        prepared = repos.transfer.with_license(prepared, license_id)
    async with house.write() as session:
        by = await owner_of(session, namespace)
        found = await repos.find(session, kind, f"{namespace}/{name}")
        repo = found or await repos.create(session, kind, namespace, name, by=by)
        summary = message or f"Import {directory.name}"
        commit = await repos.transfer.commit_prepared(session, house.store, repo, prepared, by=by, summary=summary)
        await releases.take_note(session, repo, commit, branch="main", by=by)
    value = {"repository": repository, "commit": commit}
    show(value, f"Imported {directory} into {repository} at {commit[:12]}.", as_json=as_json)


@repos_group.command("export")
@click.argument("repository")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")
@json_option
@pass_house
@command
async def export_directory(house: House, repository: str, directory: Path, revision: str, as_json: bool) -> None:
    """Write the files of REPOSITORY into DIRECTORY, which must be empty or not exist."""
    async with house.read() as session:
        repo = await require_repo(session, repository)
        commit = await repos.resolve_revision(session, repo, revision)
        count = await repos.transfer.export_directory(session, house.store, repo, commit, directory)
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
        report = await repos.verify(session, house.store, repo)
    if repo is None:
        async with house.write() as session:
            await repos.keep_outcome(session, report)
    faults = [*(f"missing {name}" for name in report.missing), *(f"damaged {name}" for name in report.damaged)]
    value = {
        "checked": report.checked,
        "checked_bytes": report.checked_bytes,
        "missing": report.missing,
        "damaged": report.damaged,
        "orphaned": report.orphaned,
    }
    orphans = f"; {len(report.orphaned)} orphans only take room" if report.orphaned else ""
    text = f"{report.checked} objects, {report.checked_bytes:,} bytes, {len(faults)} faults{orphans}."
    show(value, "\n".join([text, *faults]), as_json=as_json)
    if not report.is_sound:
        raise Failure("The store is not intact; restore the named files from a backup.")


@repos_group.command("gc")
@click.option(
    "--xorb-days",
    type=click.IntRange(min=1),
    default=repos.garbage.XORB_DAYS,
    show_default=True,
    help="Keep what Xet clients sent and no file is made of for this long; they refer to it for three weeks.",
)
@json_option
@pass_house
@command
async def collect(house: House, xorb_days: int, as_json: bool) -> None:
    """Remove stored content that nothing refers to. Safe while the hub runs and people upload."""
    await house.require_current()
    swept = await repos.collect(house.db, house.store, xorb_days=xorb_days)
    text = (
        f"Freed {swept.freed_bytes:,} bytes: {swept.staged} broken uploads, {swept.objects} files "
        f"({swept.uncommitted} uploads were never committed), {swept.xorbs} xorbs."
    )
    show(asdict(swept), text, as_json=as_json)


@repos_group.command("scan")
@click.argument("repository")
@click.option("--revision", default=None, help="Scan this revision instead of all branches and tags.")
@json_option
@pass_house
@command
async def scan(house: House, repository: str, revision: str | None, as_json: bool) -> None:
    """Scan every file of REPOSITORY again: pickles, broken headers, secrets, archives that are bombs."""
    await house.require_current()
    async with house.read() as session:
        repo = await require_repo(session, repository)
        named = [await repos.resolve_revision(session, repo, revision)] if revision else None
        commits = named or await repos.scanning.heads(session, repo)
    done = await repos.scanning.scan(house.db, house.store, repo.id, commits, seconds=float("inf"), since=now())
    found: dict[str, repos.scanning.FileResult] = {}
    async with house.read() as session:
        for commit in commits:
            files = await repos.tree(session, repo, commit, recursive=True)
            found |= await repos.scanning.results_of(session, repo, files)
    issues = repos.scanning.issues(found)
    lines = [f"{each.status.value} {each.path}: {finding.detail}" for each in issues for finding in each.findings]
    value = {
        "files": done.files,
        "issues": [
            {"path": each.path, "status": each.status.value, "findings": [row.detail for row in each.findings]}
            for each in issues
        ],
    }
    unread = f" {done.unreadable} could not be read; see `gatekeeper repos verify`." if done.unreadable else ""
    text = f"{done.files} contents scanned, {len(issues)} files with issues.{unread}"
    show(value, "\n".join([text, *lines]), as_json=as_json)


async def require_repo(session: AsyncSession, name: str) -> Repo:
    """The repository called `namespace/name` (a model) or `datasets/namespace/name`. Raises NotFound."""
    kind, namespace, rest = split_name(name)
    found = await repos.find(session, kind, f"{namespace}/{rest}")
    if found is None:
        raise NotFound(f"There is no repository {name}.", next_step="Write it as namespace/name.")
    return found


def split_name(text: str) -> tuple[RepoKind, str, str]:
    """Kind, namespace and name of `namespace/name`, `datasets/namespace/name` or `spaces/namespace/name`."""
    parts = text.split("/")
    if len(parts) == 3 and parts[0] in {kind.value for kind in RepoKind}:
        return RepoKind(parts[0]), parts[1], parts[2]
    if len(parts) == 2:
        return RepoKind.MODEL, parts[0], parts[1]
    raise Invalid(f"{text} does not name a repository.", next_step="Write it as namespace/name.")


async def owner_of(session: AsyncSession, namespace: str) -> Principal:
    """Who imports into a namespace: its person, or an administrator of its organization."""
    found = await accounts.find_namespace(session, namespace)
    person = None
    if found is not None and found.person_id is not None:
        person = await accounts.people.get(session, found.person_id)
    elif found is not None:
        organization = await accounts.organizations.find(session, namespace)
        members = await accounts.organizations.members(session, organization) if organization else []
        person = next((member for member, role in members if role is Role.ADMIN), None)
    if person is None:
        raise NotFound(
            f"The namespace {namespace} has nobody who could own a repository.",
            next_step="Add the person, or the organization and an administrator for it, first.",
        )
    return await accounts.principals.for_person(session, person)
