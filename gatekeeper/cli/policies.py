"""`policies`: check the rules, and ask them about one case."""

from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, repos
from gatekeeper.accounts import ANONYMOUS, Principal, principals
from gatekeeper.authz import Action
from gatekeeper.cli.people import require_person
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.repos import RepoKind

_ACTIONS = [action.value for action in Action if not action.is_global]


@click.group()
def policies() -> None:
    """The policies in force."""


@policies.command("check")
@click.argument("directory", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
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
@click.option("--kind", type=click.Choice([kind.value for kind in RepoKind]), default=RepoKind.MODEL.value)
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


async def _principal(session: AsyncSession, who: str) -> Principal:
    if who == "anonymous":
        return ANONYMOUS
    return await principals.for_person(session, await require_person(session, who))
