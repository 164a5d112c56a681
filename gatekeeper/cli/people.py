"""`people`, `orgs`, `tokens`: who may come in, and with what."""

import sys
from datetime import timedelta

import click
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import accounts, owners, tokens
from gatekeeper.accounts import OPERATOR, Person, Role
from gatekeeper.cli.organizations import delete_organization, rename_organization, require_organization
from gatekeeper.cli.run import Failure, House, command, json_option, pass_house, show
from gatekeeper.errors import NotFound
from gatekeeper.kit.clock import now


@click.group()
def people() -> None:
    """People: accounts, ways in, personal data."""


@people.command("add")
@click.argument("name")
@click.option("--email", required=True, help="Where the person can be reached.")
@click.option("--fullname", default="", help="The name that pages show.")
@click.option("--admin", is_flag=True, help="An administrator of this hub.")
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from standard input; else a link to choose one is printed.",
)
@json_option
@pass_house
@command
async def add_person(
    house: House, name: str, email: str, fullname: str, admin: bool, password_stdin: bool, as_json: bool
) -> None:
    """Add a person who can sign in."""
    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    link = None
    async with house.write() as session:
        person = await accounts.people.add(
            session, name, email=email, password=password, fullname=fullname, is_admin=admin, by=OPERATOR
        )
        if password is None and house.settings.local_sign_in:
            link = await _first_link(house, session, person)
    value = {"id": person.id, "name": person.name, "is_admin": person.is_admin}
    text = f"Added {person.name}{' as an administrator' if admin else ''}."
    if link is not None:
        value["link"] = link
        text += f" They choose a password, once and within a week, at: {link}"
    show(value, text, as_json=as_json)


@people.command("first-link")
@click.argument("name")
@pass_house
@command
async def first_link(house: House, name: str) -> None:
    """Print another link with which somebody without a password chooses one, within a week; earlier ones end."""
    async with house.write() as session:
        link = await _first_link(house, session, await require_person(session, name))
    click.echo(link)


async def _first_link(house: House, session: AsyncSession, person: Person) -> str:
    secret = await accounts.links.first_password(session, person, key=house.keys.sessions)
    return f"{house.settings.public_url}/reset?link={secret}"


@people.command("disable")
@click.argument("name")
@json_option
@pass_house
@command
async def disable_person(house: House, name: str, as_json: bool) -> None:
    """Shut a person out: their sessions and tokens are refused from the next request on."""
    async with house.write() as session:
        person = await require_person(session, name)
        await accounts.people.disable(session, person, by=OPERATOR)
    show({"id": person.id, "name": person.name}, f"Disabled {person.name}.", as_json=as_json)


@people.command("rename")
@click.argument("name")
@click.argument("new_name")
@json_option
@pass_house
@command
async def rename_person(house: House, name: str, new_name: str, as_json: bool) -> None:
    """Give a person another name; the old one stays reserved for them, and their repositories are found under both."""
    async with house.write() as session:
        person = await require_person(session, name)
        await owners.rename(session, person, new_name, by=OPERATOR)
    show({"id": person.id, "name": person.name}, f"{name} is called {person.name} now.", as_json=as_json)


@people.command("forget-factors")
@click.argument("name")
@json_option
@pass_house
@command
async def forget_factors(house: House, name: str, as_json: bool) -> None:
    """Take every second factor off somebody who has lost them all. Make sure that it is them who ask."""
    async with house.write() as session:
        person = await require_person(session, name)
        await accounts.second_step.take_off(session, person, by=OPERATOR)
    text = f"{person.name} signs in with the password alone, and has to sign in again."
    show({"id": person.id, "name": person.name}, text, as_json=as_json)


@people.command("invite")
@click.argument("email")
@json_option
@pass_house
@command
async def invite(house: House, email: str, as_json: bool) -> None:
    """Let the owner of an address make an account through a provider that admits invited people."""
    email = accounts.names.check_email(email)
    async with house.write() as session:
        await accounts.oidc.arrivals.invite(session, email, key=house.keys.sessions)
    days = accounts.oidc.arrivals.INVITED_DAYS
    show({"email": email, "days": days}, f"Invited {email} for {days} days.", as_json=as_json)


@people.command("let-in")
@click.argument("name")
@pass_house
@command
async def let_in(house: House, name: str) -> None:
    """Print a link that signs a person in, once, within 15 minutes: for the day when no provider answers."""
    async with house.write() as session:
        person = await require_person(session, name)
        secret = await accounts.oidc.links.make(session, person, key=house.keys.sessions)
    click.echo(f"{house.settings.public_url}/login/once/{secret}")


@people.command("providers")
@json_option
@pass_house
@command
async def check_providers(house: House, as_json: bool) -> None:
    """Ask each configured identity provider for its endpoints, and print what to register with it."""
    found = []
    for remote in _remotes(house).values():
        metadata = await remote.metadata()
        url = house.settings.public_url + remote.provider.path
        found.append(
            {
                "name": remote.provider.name,
                "issuer": remote.provider.issuer,
                "redirect_uri": f"{url}/callback",
                "post_logout_redirect_uri": f"{house.settings.public_url}/logout/done",
                "backchannel_logout_uri": f"{url}/back-channel",
                "signs_out": "end_session_endpoint" in metadata,
            }
        )
    text = "\n\n".join("\n".join(f"{key:26} {value}" for key, value in each.items()) for each in found)
    show({"providers": found}, text or "No identity provider is configured.", as_json=as_json)


def _remotes(house: House) -> dict[str, accounts.oidc.Remote]:
    try:
        return accounts.oidc.remotes(house.settings)
    except accounts.oidc.BadProvider as error:
        raise Failure(str(error)) from None


@click.group()
def orgs() -> None:
    """Organizations and their members."""


@orgs.command("add")
@click.argument("name")
@click.option("--fullname", default="", help="The name that pages show.")
@json_option
@pass_house
@command
async def add_organization(house: House, name: str, fullname: str, as_json: bool) -> None:
    """Add an organization."""
    async with house.write() as session:
        organization = await accounts.organizations.create(session, name, by=OPERATOR, fullname=fullname)
    show(
        {"id": organization.id, "name": organization.name}, f"Added organization {organization.name}.", as_json=as_json
    )


@orgs.command("member")
@click.argument("organization")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="Each includes those after it; a guest has the rights of teams alone.",
)
@json_option
@pass_house
@command
async def set_member(house: House, organization: str, name: str, role: str, as_json: bool) -> None:
    """Give a person a role in an organization."""
    async with house.write() as session:
        found = await require_organization(session, organization)
        person = await require_person(session, name)
        await accounts.organizations.add_member(session, found, person, Role(role), by=OPERATOR)
    value = {"organization": found.name, "name": person.name, "role": role}
    show(value, f"{person.name} is now {role} in {found.name}.", as_json=as_json)


orgs.add_command(rename_organization)
orgs.add_command(delete_organization)


@click.group("tokens")
def tokens_group() -> None:
    """Access tokens."""


@tokens_group.command("issue")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["read", "write"]),
    default="read",
    show_default=True,
    help="What clients are told, and the scopes where none is named.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in tokens.Scope]),
    help="What it opens (several times); what its role does if left out.",
)
@click.option("--label", default="", help="What the token is for; made unique if left out.")
@click.option("--days", type=click.IntRange(1), default=None, help="Life in days; the longest allowed if left out.")
@pass_house
@command
async def issue_token(
    house: House, name: str, role: str, scopes: tuple[str, ...], label: str, days: int | None
) -> None:
    """Issue a token to a person and print it, alone, on standard output. It cannot be shown again."""
    instant = now()
    async with house.write() as session:
        person = await require_person(session, name)
        _, secret = await tokens.issue(
            session,
            person,
            label=label or f"command line {instant:%Y-%m-%d %H:%M:%S}",
            role=role,
            scopes=list(scopes) or None,
            expires_at=instant + timedelta(days=days) if days else None,
            max_days=house.settings.token_max_days,
            key=house.keys.tokens,
        )
    click.echo(secret)


@tokens_group.command("revoke")
@click.argument("name")
@json_option
@pass_house
@command
async def revoke_tokens(house: House, name: str, as_json: bool) -> None:
    """End every access token of a person at once, and what applications may do in their name."""
    async with house.write() as session:
        count = await tokens.revoke_all(session, await require_person(session, name), by=OPERATOR)
    show({"name": name, "ended": count}, f"Ended {count} tokens and connections of {name}.", as_json=as_json)


async def require_person(session: AsyncSession, name: str) -> Person:
    """The person of that name. Raises NotFound."""
    person = await accounts.people.find(session, name)
    if person is None:
        raise NotFound(f"There is nobody called {name}.", next_step="Add them with `gatekeeper people add`.")
    return person
