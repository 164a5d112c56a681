"""From a row in the database to the value that decisions are about."""

from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts import memberships
from gatekeeper.accounts.principal import Principal, Reach
from gatekeeper.accounts.tables import Membership, Person, Role
from gatekeeper.accounts.team_tables import TeamMember
from gatekeeper.errors import NotSignedIn


async def for_person(
    session: AsyncSession,
    person: Person,
    *,
    token_id: str | None = None,
    scopes: frozenset[str] | None = None,
    session_id: str | None = None,
    valid_until: datetime | None = None,
    reach: Reach | None = None,
    closed: frozenset[str] = frozenset(),
    is_service: bool = False,
) -> Principal:
    """`person` as they stand now, with their roles in organizations. Raises NotSignedIn for a disabled person."""
    if person.is_disabled:
        raise NotSignedIn("This account is disabled.", next_step="Ask an administrator of this hub.")
    in_team = sa.exists().where(col(TeamMember.membership_id) == col(Membership.id)).correlate(Membership)
    query = sa.select(
        col(Membership.organization_id), col(Membership.role), col(Membership.is_safety), in_team, memberships.counts()
    )
    rows = (await session.execute(query.where(col(Membership.person_id) == person.id))).all()
    return standing_as(
        [(organization, role, is_safety, in_team) for organization, role, is_safety, in_team, counts in rows if counts],
        suspended=frozenset(row[0] for row in rows if not row[-1]),
        person_id=person.id,
        name=person.name,
        is_admin=person.is_admin,
        token_id=token_id,
        scopes=scopes,
        session_id=session_id,
        valid_until=valid_until,
        reach=reach,
        closed=closed,
        is_service=is_service,
    )


def standing_as(rows: Sequence[tuple[str, Role, bool, bool]], **known: Any) -> Principal:
    """A principal by the memberships that count: organization, role, whether in its safety team, whether in a team.

    known  the other fields of Principal
    """
    if not rows:
        return Principal(**known)
    return Principal(
        organizations=MappingProxyType(
            {organization: role for organization, role, _, _ in rows if role is not Role.GUEST}
        ),
        in_teams=frozenset(organization for organization, _, _, in_team in rows if in_team),
        safety_teams=frozenset(
            organization for organization, role, is_safety, _ in rows if is_safety and role is not Role.GUEST
        ),
        **known,
    )
