"""`demo`: the newcomer's server. Migrates, seeds the bundled model and two people, and serves."""

import shutil
from dataclasses import dataclass, replace

import click

from gatekeeper import accounts, licensing, releases, repos, schema
from gatekeeper.accounts import OPERATOR, Principal, Role
from gatekeeper.cli.run import Failure, House, command, pass_house
from gatekeeper.cli.serve import run_server
from gatekeeper.generation.bundled import LICENSE, NAME, NAMESPACE, bundled_model_dir
from gatekeeper.releases import Stage
from gatekeeper.repos import RepoKind

_FREE_BYTES = 500_000_000
_SCAN_SECONDS = 600.0


@dataclass(frozen=True)
class Newcomer:
    """A person that the demo made, with the password that is printed once."""

    name: str
    password: str
    role: str


@click.command()
@click.option("--host", default=None, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on; 0 lets the system choose."
)
@click.option("--seed-only", is_flag=True, help="Prepare everything and print the sign-ins, but do not serve.")
@pass_house
def demo(house: House, host: str | None, port: int | None, seed_only: bool) -> None:
    """Migrate, seed and serve a hub with the bundled model. Safe to repeat: what exists is kept."""
    house.settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if shutil.disk_usage(house.settings.data_dir).free < _FREE_BYTES:
        raise Failure(f"{house.settings.data_dir} has less than 500 MB free; set GATEKEEPER_DATA_DIR to another disk.")
    made = prepare(house)
    greeting = _greeting(made)
    if seed_only:
        click.echo(greeting)
        return
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    run_server(house.settings.model_copy(update=changes), greeting=greeting)


@command
async def prepare(house: House) -> list[Newcomer]:
    """Bring an empty or existing data directory to the demo's state; returns the people it made."""
    click.echo("==> migrating the database")
    await schema.upgrade(house.db)
    made: list[Newcomer] = []
    async with house.write() as session:
        await licensing.import_catalogue(session, house.policies_dir / "licenses")
        if not (await accounts.people.listing(session, limit=1)).items:
            made = [
                Newcomer(
                    "maintainer",
                    accounts.passwords.readable_secret(),
                    "administrator, maintains the model",
                ),
                Newcomer("ada", accounts.passwords.readable_secret(), "an applicant, to try the other side"),
            ]
            for person in made:
                await accounts.people.add(
                    session,
                    person.name,
                    email=f"{person.name}@example.org",
                    password=person.password,
                    is_admin=person.name == "maintainer",
                    by=OPERATOR,
                )
    await _seed_model(house)
    return made


async def _seed_model(house: House) -> None:
    source = bundled_model_dir()
    async with house.db.read() as session:
        found = await repos.find(session, RepoKind.MODEL, f"{NAMESPACE}/{NAME}")
        if found is not None and found.is_staged:
            return
        admin = await accounts.people.find(session, "maintainer")
    if source is None or admin is None:
        return
    click.echo("==> importing the bundled model")
    license_text = (house.policies_dir / "licenses" / f"{LICENSE}.txt").read_bytes()
    prepared = await repos.transfer.prepare(house.store, source)
    # Whoever gets a copy of the model gets the license with it.
    prepared = replace(prepared, operations=(*prepared.operations, repos.AddFile("LICENSE", license_text)))
    ladder = releases.Ladder.load(house.policies_dir)
    async with house.write() as session:
        if await accounts.organizations.find(session, NAMESPACE) is None:
            organization = await accounts.organizations.create(session, NAMESPACE, by=OPERATOR, fullname="Gatekeeper")
            await accounts.organizations.add_member(session, organization, admin, Role.ADMIN, by=OPERATOR)
        by: Principal = await accounts.principals.for_person(session, admin)
        repo = found or await repos.create(session, RepoKind.MODEL, NAMESPACE, NAME, by=by)
        commit = await repos.transfer.commit_prepared(
            session, house.store, repo, prepared, by=by, summary="The bundled model"
        )
    # No stage takes weights that nobody has looked at.
    await repos.scanning.scan(house.db, house.store, repo.id, [commit], seconds=_SCAN_SECONDS)
    async with house.write() as session:
        repo = await repos.require(session, RepoKind.MODEL, f"{NAMESPACE}/{NAME}")
        await releases.enable_staging(session, repo, by=by)
        proposal = await releases.propose(
            session,
            repo,
            commit,
            Stage.GATED,
            by=by,
            ladder=ladder,
            note="The first release of the bundled model.",
        )
        await releases.approve_proposal(session, proposal, by=by)
        await releases.promote(session, proposal, by=by, ladder=ladder)


def _greeting(made: list[Newcomer]) -> str:
    if not made:
        return "\nThe sign-ins were printed when this hub was made.\n"
    lines = ["", "Sign in with (shown once, keep them):"]
    lines += [f"  {person.name:<10} {person.password}   {person.role}" for person in made]
    return "\n".join([*lines, "", ""])
