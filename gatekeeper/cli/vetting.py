"""`requests block|unblock|blocks|vouch`: whose requests are not taken, and what people have brought."""

from datetime import datetime

import click
import sqlalchemy as sa

from gatekeeper import access, accounts
from gatekeeper.accounts import OPERATOR, Organization
from gatekeeper.cli.people import require_person
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo


@click.command("block")
@click.argument("person")
@click.option("--reason", required=True, help="Why; reviewers read it.")
@click.option("--repository", help="Only for this repository.")
@click.option("--organization", help="Only for the repositories of this organization.")
@click.option("--revoke", is_flag=True, help="Also revoke the access they have there.")
@json_option
@pass_house
@command
async def block(
    house: House,
    person: str,
    reason: str,
    repository: str | None,
    organization: str | None,
    revoke: bool,
    as_json: bool,
) -> None:
    """Take no more requests from PERSON: for a repository, an organization's, or (neither is named) for all."""
    if repository and organization:
        raise Invalid("A block is for a repository or for an organization.", next_step="Name one of them.")
    async with house.write() as session:
        found = await accounts.organizations.find(session, organization) if organization else None
        if organization and found is None:
            raise NotFound("There is no such organization.", next_step="Look at `gatekeeper orgs list`.")
        made = await access.block(
            session,
            await require_person(session, person),
            by=OPERATOR,
            reason=reason,
            repo=await require_repo(session, repository) if repository else None,
            organization=found,
            is_revoking=revoke,
        )
    show({"id": made.id, "person": person}, f"Blocked {person} ({made.id}).", as_json=as_json)


@click.command("unblock")
@click.argument("block_id")
@json_option
@pass_house
@command
async def unblock(house: House, block_id: str, as_json: bool) -> None:
    """Take requests again: lift a block by its id."""
    async with house.write() as session:
        made = await access.get_block(session, block_id)
        await access.unblock(session, made, by=OPERATOR)
    show({"id": block_id}, f"Lifted {block_id}.", as_json=as_json)


@click.command("blocks")
@click.option("--all", "with_lifted", is_flag=True, help="Also those that were lifted.")
@json_option
@pass_house
@command
async def blocks(house: House, with_lifted: bool, as_json: bool) -> None:
    """Whose requests are not taken, and where."""
    async with house.read() as session:
        organizations = {each.id: each.name for each in await session.scalars(sa.select(Organization))}
        found = await access.blocks_of(session, repos=(sa.true(),), organization_ids=organizations.keys(), has_all=True)
        repos = {each: await session.get_one(Repo, each) for each in {made.repo_id for made, _ in found} if each}
    rows = [
        {
            "id": made.id,
            "person": person.name,
            "repository": repos[made.repo_id].full_name if made.repo_id else None,
            "organization": organizations[made.organization_id] if made.organization_id else None,
            "reason": made.reason,
            "lifted_at": instant_text(made.lifted_at) if made.lifted_at else None,
        }
        for made, person in found
        if with_lifted or made.lifted_at is None
    ]
    lines = [
        f"{row['id']}  {row['person']:<20} {row['repository'] or row['organization'] or 'everywhere'}  {row['reason']}"
        for row in rows
    ]
    show(rows, "\n".join(lines) or "Nobody is blocked.", as_json=as_json)


@click.command("vouch")
@click.argument("person")
@click.argument("kind")
@click.option("--evidence", required=True, help="What was seen: a certificate's number, a register's entry.")
@click.option("--value", default="", help="Such as a country's code.")
@click.option("--repository", help="It counts for this repository only.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Day (UTC) at whose start it counts no more.")
@json_option
@pass_house
@command
async def vouch(
    house: House,
    person: str,
    kind: str,
    evidence: str,
    value: str,
    repository: str | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Record that PERSON has a prerequisite of a KIND; approvals that waited for it take effect."""
    async with house.write() as session:
        made = await access.vouch(
            session,
            await require_person(session, person),
            kind,
            by=OPERATOR,
            evidence=evidence,
            value=value,
            repo=await require_repo(session, repository) if repository else None,
            ends_at=None if until is None else until.replace(tzinfo=now().tzinfo),
            rules=access.Rules.load(house.policies.directory),
        )
    show({"id": made.id, "person": person, "kind": kind}, f"Recorded {kind} of {person} ({made.id}).", as_json=as_json)


VETTING = (block, unblock, blocks, vouch)
