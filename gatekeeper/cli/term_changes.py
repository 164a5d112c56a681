"""`licenses changes|classify`: how the terms of a repository changed, and what kind of change it is."""

import click

from gatekeeper import authz, licensing
from gatekeeper.accounts import principals
from gatekeeper.authz import Action
from gatekeeper.cli.people import require_person
from gatekeeper.cli.repository import require_repo
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.licensing import ChangeClass


@click.command("changes")
@click.argument("repository")
@json_option
@pass_house
@command
async def changes(house: House, repository: str, as_json: bool) -> None:
    """The changes of REPOSITORY's terms, newest first, each with its difference and the digest of that."""
    rows, told = [], []
    async with house.read() as session:
        repo = await require_repo(session, repository)
        for change in await licensing.changes_of(session, repo):
            difference = await licensing.difference(session, change)
            lines = [line.marked for each in difference.texts for line in each.lines]
            kind = change.change_class.value if change.change_class else None
            head = f"{change.id}  {instant_text(change.in_force_at)}  {kind or 'not judged: material'}"
            told.append(
                "\n".join([head, *(each.title for each in difference.texts), *lines, f"--seen {difference.sha256}"])
            )
            rows.append(
                {
                    "id": change.id,
                    "in_force_at": instant_text(change.in_force_at),
                    "deadline_at": instant_text(change.deadline_at),
                    "class": kind,
                    "seen": difference.sha256,
                    "texts": [each.title for each in difference.texts],
                    "lines": lines,
                }
            )
    show(rows, "\n\n".join(told) or "The terms have not changed.", as_json=as_json)


@click.command("classify")
@click.argument("repository")
@click.argument("change_id")
@click.argument("change_class", type=click.Choice([each.value for each in ChangeClass]))
@click.option("--as", "name", required=True, help="Which maintainer has read the difference.")
@click.option("--seen", required=True, help="Digest of the difference, as `licenses changes` gives it.")
@click.option("--days", default=licensing.GRACE_DAYS, show_default=True, help="To accept a material change.")
@click.option("--note", default="", help="Why; everybody reads it.")
@json_option
@pass_house
@command
async def classify(
    house: House,
    repository: str,
    change_id: str,
    change_class: str,
    name: str,
    seen: str,
    days: int,
    note: str,
    as_json: bool,
) -> None:
    """Say what kind of change CHANGE_ID is, having read it."""
    async with house.write() as session:
        repo = await require_repo(session, repository)
        by = await principals.for_person(session, await require_person(session, name))
        authz.require(house.policies, by, Action.MANAGE, await authz.load(session, by, repo), now())
        change = await licensing.get_change(session, repo, change_id)
        done = await licensing.classify(
            session,
            change,
            ChangeClass(change_class),
            by=by,
            seen_sha256=seen,
            grace_days=days,
            note=note,
        )
    value = {"id": change_id, "class": change_class, "deadline_at": instant_text(done.deadline_at)}
    show(value, f"{change_id} is {change_class}.", as_json=as_json)


TERM_CHANGES = (changes, classify)
