"""Rights of an organization's teams to single repositories of it."""

from collections.abc import Sequence
from operator import attrgetter
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col

from gatekeeper.accounts import memberships, organizations, teams
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Membership, Organization, Role
from gatekeeper.accounts.team_tables import Team, TeamMember
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.columns import EnumText
from gatekeeper.repos.tables import Repo

_Query = TypeVar("_Query", bound=sa.sql.Select)  # type: ignore[type-arg]  # of any columns
ROLES = (Role.READ, Role.WRITE, Role.ADMIN)


class TeamRight(SQLModel, table=True):
    """What the people of a team are in one repository. It goes when the repository changes hands."""

    __tablename__ = "team_right"

    team_id: str = Field(foreign_key="team.id", primary_key=True, max_length=26, ondelete="CASCADE")
    repo_id: str = Field(foreign_key="repo.id", primary_key=True, max_length=26, index=True)
    role: Role = Field(sa_type=EnumText(Role))


async def give(
    s: AsyncSession, organization: Organization, team: Team, repo: Repo, role: Role, *, by: Principal
) -> None:
    """Give a team a role in a repository of its organization, or another one than before.

    Raises NotAllowed unless `by` administrates the organization (or the hub), Conflict for a repository of others.
    """
    await organizations.require_admin(s, organization, by=by)
    if repo.owner_organization_id != organization.id or repo.deleted_at is not None:
        raise Conflict(f"This is no repository of {organization.name}.", next_step="Choose one of its own.")
    right = await s.get(TeamRight, (team.id, repo.id)) or TeamRight(team_id=team.id, repo_id=repo.id, role=role)
    right.role = role
    s.add(right)
    await teams.record(s, "repos:team:give", team, by=by, repo=repo.id, role=role.value)


async def take(s: AsyncSession, organization: Organization, team: Team, repo: Repo, *, by: Principal) -> None:
    """Take a team's role in a repository away. Raises NotAllowed, and NotFound where it has none."""
    await organizations.require_admin(s, organization, by=by)
    right = await s.get(TeamRight, (team.id, repo.id))
    if right is None:
        raise NotFound("The team has no rights there.", next_step="Take it from the list.")
    await s.delete(right)
    await teams.record(s, "repos:team:take", team, by=by, repo=repo.id)


async def forget(s: AsyncSession, repo: Repo) -> None:
    """No team has rights to the repository any more: it has gone, or belongs to somebody else."""
    await s.execute(sa.delete(TeamRight).where(col(TeamRight.repo_id) == repo.id))


async def of(s: AsyncSession, organization: Organization) -> dict[str, list[tuple[Repo, Role]]]:
    """What each team of an organization is where, by the team's id."""
    rows = await s.execute(
        sa.select(TeamRight, Repo)
        .join(Team, col(Team.id) == col(TeamRight.team_id))
        .join(Repo, col(Repo.id) == col(TeamRight.repo_id))
        .where(col(Team.organization_id) == organization.id, *_sound())
        .order_by(col(Repo.key))
    )
    found: dict[str, list[tuple[Repo, Role]]] = {}
    for right, repo in rows:
        found.setdefault(right.team_id, []).append((repo, right.role))
    return found


async def roles_of(s: AsyncSession, person_id: str, repos: Sequence[Repo]) -> dict[str, Role]:
    """The highest role that a person's teams give them in each of these repositories, where they give any."""
    rows = await s.execute(
        _held(sa.select(col(TeamRight.repo_id), col(TeamRight.role))).where(
            col(Membership.person_id) == person_id, col(TeamRight.repo_id).in_([repo.id for repo in repos])
        )
    )
    found: dict[str, Role] = {}
    for repo_id, role in rows:
        found[repo_id] = highest(found.get(repo_id), role) or role
    return found


def repos_with(person_id: str, role: Role) -> sa.Select[str]:
    """Ids of repositories in which a team gives a person exactly this role."""
    return _held(sa.select(col(TeamRight.repo_id))).where(
        col(Membership.person_id) == person_id, col(TeamRight.role) == role
    )


def people_with(repo: Repo, *roles: Role) -> sa.Select[str]:
    """Ids of people whom a team gives one of these roles in a repository."""
    return _held(sa.select(col(Membership.person_id))).where(
        col(TeamRight.repo_id) == repo.id, col(TeamRight.role).in_(list(roles))
    )


def highest(*roles: Role | None) -> Role | None:
    """The highest of some roles, None if there is none."""
    return max((role for role in roles if role is not None), key=attrgetter("rank"), default=None)


def _held(query: _Query) -> _Query:
    return (
        query.select_from(TeamRight)
        .join(Team, col(Team.id) == col(TeamRight.team_id))
        .join(TeamMember, col(TeamMember.team_id) == col(Team.id))
        .join(Membership, col(Membership.id) == col(TeamMember.membership_id))
        .join(Repo, col(Repo.id) == col(TeamRight.repo_id))
        .where(col(Membership.organization_id) == col(Team.organization_id), memberships.counts(), *_sound())
    )


def _sound() -> tuple[sa.ColumnElement[bool], ...]:
    # INVARIANT: a row that outlived a transfer, however, counts for nothing.
    return (col(Repo.owner_organization_id) == col(Team.organization_id), col(Repo.deleted_at).is_(None))
