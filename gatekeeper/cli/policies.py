"""`policies`: check the rules, and ask them about one case."""

from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, repos
from gatekeeper.accounts import ANONYMOUS, OPERATOR, Principal, people, principals
from gatekeeper.authz import Action
from gatekeeper.cli.people import require_person
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.repos import RepoKind

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ACTIONS = [action.value for action in Action if not action.is_global]

_KIND = click.option(
    "--kind",
    type=click.Choice([kind.value for kind in RepoKind]),
    default=RepoKind.MODEL.value,
    show_default=True,
    help="Kind of repository.",
)


@click.group()
def policies() -> None:
    """The policies in force."""


@policies.command("check")
@click.argument("directory", required=False, type=_FOLDER)
@json_option
def check_policies(directory: Path | None, as_json: bool) -> None:
    """Validate policies, run their case tables, and report what no case covers."""
    folder = directory or House().settings.policies_dir or bundled_dir("policies")
    try:
        report = authz.check(folder)
    except authz.BrokenPolicies as error:
        raise Failure(str(error)) from None
    show(report.as_json(), report.text, as_json=as_json)
    if not report.is_good:
        raise Failure("The policies are not in order.")


@policies.command("explain")
@click.argument("who")
@click.argument("action", type=click.Choice(_ACTIONS), metavar="ACTION")
@click.argument("what")
@click.option("--revision", help="A branch, tag or commit; the best release that WHO may know if left out.")
@_KIND
@json_option
@pass_house
@command
async def explain(
    house: House, who: str, action: str, what: str, revision: str | None, kind: str, as_json: bool
) -> None:
    """Say whether WHO (a name, or "anonymous") may do ACTION to the repository WHAT now, and why.

    It is the answer that WHO gets in a browser: a token may do less.
    """
    instant = now()
    async with house.read() as session:
        principal = await _principal(session, who)
        repo = await repos.catalogue.require(session, RepoKind(kind), what)
        commit = await repos.resolve_revision(session, repo, revision) if revision else None
        resource = await authz.load(session, principal, repo, commit=commit, instant=instant)
    found = authz.explain(house.policies, principal, Action(action), resource, instant)
    show(found.as_json(), found.text, as_json=as_json)


@policies.command("who")
@click.argument("action", type=click.Choice(_ACTIONS), metavar="ACTION")
@click.argument("what")
@click.option("--revision", help="A branch, tag or commit; for each the best release they may know if left out.")
@_KIND
@json_option
@pass_house
@command
async def who(house: House, action: str, what: str, revision: str | None, kind: str, as_json: bool) -> None:
    """List everybody who may do ACTION to the repository WHAT now, in a browser."""
    async with house.read() as session:
        repo = await repos.catalogue.require(session, RepoKind(kind), what)
        commit = await repos.resolve_revision(session, repo, revision) if revision else None
        found = await authz.who(session, house.policies, Action(action), repo, instant=now(), commit=commit)
    show(found.as_json(), found.text, as_json=as_json)


@policies.command("simulate")
@click.argument("directory", type=_FOLDER)
@click.option("--people", default=1000, show_default=True, help="At most so many of each repository's people.")
@click.option("--acts", default=10_000, show_default=True, help="At most so many acts of the evidence log.")
@json_option
@pass_house
@command
async def simulate(house: House, directory: Path, people: int, acts: int, as_json: bool) -> None:
    """Say what would change if the folder DIRECTORY were in force: who gains, who loses. Nothing is changed."""
    changed = authz.Policies.load(directory)
    async with house.read() as session:
        found = await authz.simulate(session, house.policies, changed, instant=now(), people=people, acts=acts)
    show(found.as_json(), found.text, as_json=as_json)


@policies.command("activate")
@click.argument("directory", type=_FOLDER)
@click.option("--note", required=True, help="Why; kept with the change.")
@json_option
@pass_house
@command
async def activate(house: House, directory: Path, note: str, as_json: bool) -> None:
    """Put the folder DIRECTORY in force, at once and in every process, until another is. A bad one is refused."""
    async with house.write() as session:
        row = await authz.activate(session, directory, by=OPERATOR, note=note)
    _tell(row.bundle_sha256, "is in force.", as_json=as_json)


@policies.command("rollback")
@click.option("--to", default="", help="Beginning of an earlier bundle's digest; the one before if left out.")
@click.option("--note", required=True, help="Why; kept with the change.")
@json_option
@pass_house
@command
async def rollback(house: House, to: str, note: str, as_json: bool) -> None:
    """Put an earlier bundle in force again."""
    async with house.write() as session:
        row = await authz.roll_back(session, by=OPERATOR, note=note, to=to)
    _tell(row.bundle_sha256, "is in force again.", as_json=as_json)


@policies.command("history")
@json_option
@pass_house
@command
async def history(house: House, as_json: bool) -> None:
    """List what was in force, newest first."""
    async with house.read() as session:
        rows = await authz.history(session)
        names = {row.id: await _name(session, row.person_id) for row in rows}
    value = [
        {
            "bundle": row.bundle_sha256,
            "at": instant_text(row.activated_at),
            "by": names[row.id],
            "source": row.source.value,
            "note": row.note,
        }
        for row in rows
    ]
    lines = [f"{row['at']}  {row['bundle'][:16]}  {row['source']:<7}  {row['by']}  {row['note']}" for row in value]
    show(value, "\n".join(lines) or "Nothing was in force yet: start the server once.", as_json=as_json)


def _tell(sha256: str, what: str, *, as_json: bool) -> None:
    show({"bundle": sha256}, f"Bundle {sha256[:16]} {what}", as_json=as_json)


async def _name(session: AsyncSession, person_id: str | None) -> str:
    person = await people.get(session, person_id) if person_id else None
    return person.name if person else "operator"


async def _principal(session: AsyncSession, who: str) -> Principal:
    if who == "anonymous":
        return ANONYMOUS
    return await principals.for_person(session, await require_person(session, who))
