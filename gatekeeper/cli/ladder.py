"""`releases`: stages of a repository's revisions, at a terminal."""

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, releases, repos
from gatekeeper.accounts import Principal
from gatekeeper.cli.people import require_person
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import NotFound
from gatekeeper.generation import measuring
from gatekeeper.kit.canonical import instant_text
from gatekeeper.releases import Release, Stage
from gatekeeper.repos import Repo

as_option = click.option("--as", "actor", required=True, help="Name of the maintainer who acts; it is recorded.")
revision_option = click.option("--revision", default="main", show_default=True, help="Branch, tag or commit.")


@click.group("releases")
def releases_group() -> None:
    """Revisions and their stages."""


@releases_group.command("list")
@click.argument("repository")
@json_option
@pass_house
@command
async def list_releases(house: House, repository: str, as_json: bool) -> None:
    """Every release of REPOSITORY."""
    async with house.read() as session:
        repo = await require_repo(session, repository)
        rows = [row_of(release) for release in await releases.list_for(session, repo)]
    lines = [f"{row['commit'][:12]}  {row['stage']:<17} {row['side']:<10} {row['staged_at']}" for row in rows]
    show(rows, "\n".join(lines) or "No releases; turn on staging with `gatekeeper releases stage`.", as_json=as_json)


@releases_group.command("stage")
@click.argument("repository")
@as_option
@json_option
@pass_house
@command
async def stage(house: House, repository: str, actor: str, as_json: bool) -> None:
    """Turn on staged release: from now on only promoted revisions are seen by others."""
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        release = await releases.enable_staging(session, repo, by=by)
        row = row_of(release)
    show(row, f"{repo.full_name} is released in stages; {row['commit'][:12]} is a draft.", as_json=as_json)


@releases_group.command("propose")
@click.argument("repository")
@click.option(
    "--to", "target", type=click.Choice([each.value for each in Stage]), required=True, help="The stage to reach."
)
@revision_option
@click.option("--note", default="", help="Why.")
@as_option
@json_option
@pass_house
@command
async def propose(
    house: House, repository: str, target: str, revision: str, note: str, actor: str, as_json: bool
) -> None:
    """Propose a promotion and print how its criteria stand."""
    ladder = measuring.ladder_here(house.policies_dir)
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        commit = await repos.resolve_revision(session, repo, revision)
        proposal = await releases.propose(session, repo, commit, Stage(target), by=by, ladder=ladder, note=note)
        findings, quorum = await releases.standing_of(session, proposal, ladder=ladder)
    value = {
        "proposal": proposal.id,
        "criteria": [finding.as_json() for finding in findings],
        "approvals": {"given": quorum.counted, "needed": quorum.needed},
    }
    lines = [f"{'met  ' if finding.passes else 'UNMET'} {finding.id}: {finding.detail}" for finding in findings]
    show(value, "\n".join([f"Proposal {proposal.id}", *lines, quorum.sentence]), as_json=as_json)


@releases_group.command("approve")
@click.argument("proposal_id")
@click.option("--note", default="", help="Why; kept with the approval.")
@as_option
@json_option
@pass_house
@command
async def approve(house: House, proposal_id: str, note: str, actor: str, as_json: bool) -> None:
    """Approve a proposal as a maintainer."""
    async with house.write() as session:
        proposal = await releases.get_proposal(session, proposal_id)
        release = await releases.get(session, proposal.release_id)
        by = await maintainer(session, await repo_of(session, release), actor)
        await releases.approve_proposal(session, proposal, by=by, note=note)
    show({"proposal": proposal_id, "approved_by": by.name}, f"{by.name} approved {proposal_id}.", as_json=as_json)


@releases_group.command("promote")
@click.argument("proposal_id")
@as_option
@json_option
@pass_house
@command
async def promote(house: House, proposal_id: str, actor: str, as_json: bool) -> None:
    """Make a proposal effective, if its criteria are met and enough maintainers approved."""
    ladder = measuring.ladder_here(house.policies_dir)
    async with house.write() as session:
        proposal = await releases.get_proposal(session, proposal_id)
        release = await releases.get(session, proposal.release_id)
        by = await maintainer(session, await repo_of(session, release), actor)
        release = await releases.promote(session, proposal, by=by, ladder=ladder)
    show(row_of(release), f"{release.commit_id[:12]} is now at {release.stage}.", as_json=as_json)


@releases_group.command("hold")
@click.argument("repository")
@revision_option
@click.option("--reason", required=True, help="What people are told.")
@as_option
@json_option
@pass_house
@command
async def hold(house: House, repository: str, revision: str, reason: str, actor: str, as_json: bool) -> None:
    """Stop downloads and inference of a revision at once."""
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        release = await release_at(session, repo, revision)
        release = await releases.hold(session, release, by=by, reason=reason)
    show(row_of(release), f"{release.commit_id[:12]} is held; it binds on the next request.", as_json=as_json)


@releases_group.command("resume")
@click.argument("repository")
@revision_option
@click.option("--reason", default="", help="What people are told.")
@as_option
@json_option
@pass_house
@command
async def resume(house: House, repository: str, revision: str, reason: str, actor: str, as_json: bool) -> None:
    """End a hold."""
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        release = await release_at(session, repo, revision)
        release = await releases.resume(session, release, by=by, reason=reason)
    show(row_of(release), f"{release.commit_id[:12]} is at {release.stage} again.", as_json=as_json)


async def both(session: AsyncSession, repository: str, actor: str) -> tuple[Repo, Principal]:
    """A repository by name, and the maintainer of it who acts."""
    repo = await require_repo(session, repository)
    return repo, await maintainer(session, repo, actor)


async def maintainer(session: AsyncSession, repo: Repo, name: str) -> Principal:
    """The maintainer called `name`. Raises NotFound for anybody else: the log must name who may act."""
    person = await require_person(session, name)
    if person.id not in await releases.maintainers(session, repo) and not person.is_admin:
        raise NotFound(
            f"{person.name} does not maintain {repo.full_name}.", next_step="Name one of its maintainers with --as."
        )
    return await accounts.principals.for_person(session, person)


async def release_at(session: AsyncSession, repo: Repo, revision: str) -> Release:
    """The release of a branch, tag or commit. Raises NotFound."""
    commit = await repos.resolve_revision(session, repo, revision)
    release = await releases.stage_of(session, repo, commit)
    if release is None:
        raise NotFound(f"{revision} of {repo.full_name} is no release.", next_step="See `gatekeeper releases list`.")
    return release


async def repo_of(session: AsyncSession, release: Release) -> Repo:
    """The repository of a release. Raises NotFound where it was deleted."""
    repo = await repos.by_id(session, release.repo_id)
    if repo is None:
        raise NotFound("The repository of this release was deleted.")
    return repo


def row_of(release: Release) -> dict[str, str]:
    """A release for machines."""
    side = "withdrawn" if release.withdrawn_at else "held" if release.held_at else ""
    return {
        "id": release.id,
        "commit": release.commit_id,
        "stage": release.stage.value,
        "side": side,
        "staged_at": instant_text(release.staged_at),
    }
