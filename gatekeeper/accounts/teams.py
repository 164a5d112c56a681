"""Teams: some members of an organization. What a team may do is said repository by repository (`repos.team_rights`)."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts import namespaces, organizations
from gatekeeper.accounts.names import check_name, fold
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Organization, Person
from gatekeeper.accounts.team_tables import Team, TeamMember
from gatekeeper.errors import Conflict, NotFound


async def create(session: AsyncSession, organization: Organization, name: str, *, by: Principal) -> Team:
    """A new team, empty and without rights. Raises NotAllowed, Invalid for a bad name, Conflict for a taken one."""
    await organizations.require_admin(session, organization, by=by)
    team = Team(organization_id=organization.id, name=check_name(name), name_key=fold(name))
    taken = Conflict(f"{organization.name} has a team {name} already.", next_step="Choose another name.")
    await namespaces.insert(session, team, otherwise=taken)
    await record(session, "accounts:team:create", team, by=by)
    return team


async def require(session: AsyncSession, organization: Organization, name: str) -> Team:
    """The team with this name. Raises NotFound."""
    team: Team | None = await session.scalar(
        sa.select(Team).where(col(Team.organization_id) == organization.id, col(Team.name_key) == fold(name))
    )
    if team is None:
        raise NotFound(f"{organization.name} has no such team.", next_step="Take it from the list.")
    return team


async def delete(session: AsyncSession, organization: Organization, team: Team, *, by: Principal) -> None:
    """End a team; with it go its members' rights. Raises NotAllowed."""
    await organizations.require_admin(session, organization, by=by)
    await session.delete(team)
    await record(session, "accounts:team:delete", team, by=by)


async def add(session: AsyncSession, organization: Organization, team: Team, person: Person, *, by: Principal) -> None:
    """Put a member of the organization into a team. Raises NotAllowed, and Conflict for everybody else."""
    await organizations.require_admin(session, organization, by=by)
    membership = await organizations.membership(session, organization, person.id)
    if membership is None:
        raise Conflict(f"{person.name} is no member of {organization.name}.", next_step="Invite them first.")
    if await session.get(TeamMember, (team.id, membership.id)) is not None:
        return
    inside = Conflict(f"{person.name} was added at the same moment.", next_step="Look at the list.")
    await namespaces.insert(session, TeamMember(team_id=team.id, membership_id=membership.id), otherwise=inside)
    await record(session, "accounts:team:add-member", team, by=by, person=person.id)


async def remove(
    session: AsyncSession, organization: Organization, team: Team, person: Person, *, by: Principal
) -> None:
    """Take somebody out of a team; people may always leave one by themselves. Raises NotAllowed, NotFound."""
    if by.person_id != person.id:
        await organizations.require_admin(session, organization, by=by)
    membership = await organizations.membership(session, organization, person.id)
    inside = await session.get(TeamMember, (team.id, membership.id)) if membership else None
    if inside is None:
        raise NotFound(f"{person.name} is not in this team.", next_step="Take them from the list.")
    await session.delete(inside)
    await record(session, "accounts:team:remove-member", team, by=by, person=person.id)


async def of(session: AsyncSession, organization: Organization) -> list[tuple[Team, list[str]]]:
    """The teams of an organization with the names of who is in them, by name."""
    teams = await session.scalars(
        sa.select(Team).where(col(Team.organization_id) == organization.id).order_by(col(Team.name_key))
    )
    rows = await session.execute(
        sa.select(col(TeamMember.team_id), col(Person.name))
        .join(Membership, col(Membership.id) == col(TeamMember.membership_id))
        .join(Person, col(Person.id) == col(Membership.person_id))
        .where(col(Membership.organization_id) == organization.id)
        .order_by(col(Person.name_key))
    )
    inside: dict[str, list[str]] = {}
    for team_id, name in rows:
        inside.setdefault(team_id, []).append(name)
    return [(team, inside.get(team.id, [])) for team in teams]


async def record(session: AsyncSession, kind: str, team: Team, *, by: Principal, **body: str) -> None:
    """Write down what happened to a team."""
    body["organization"] = team.organization_id
    await ledger.record(session, kind, actor=by.person_id, token=by.token_id, subject=team.id, body=dict(body))
