"""Parts of an organization, and who was asked into it. What a team may do is said in `repos.team_rights`."""

from datetime import datetime

from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.accounts.tables import Role
from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Team(SQLModel, table=True):
    """Some members of an organization, under a name of its own there."""

    __tablename__ = "team"
    __table_args__ = (UniqueConstraint("organization_id", "name_key"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organization_id: str = Field(foreign_key="organization.id", max_length=26)
    name: str = Field(max_length=40)
    name_key: str = Field(max_length=40)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class TeamMember(SQLModel, table=True):
    """INVARIANT: it hangs on the membership, so whoever leaves the organization, however, has left its teams."""

    __tablename__ = "team_member"

    team_id: str = Field(foreign_key="team.id", primary_key=True, max_length=26, ondelete="CASCADE")
    membership_id: str = Field(
        foreign_key="membership.id", primary_key=True, max_length=26, ondelete="CASCADE", index=True
    )


class MembershipOffer(SQLModel, table=True):
    """An invitation of somebody with an account into an organization. It gives nothing until they accept it."""

    __tablename__ = "membership_offer"
    __table_args__ = (UniqueConstraint("organization_id", "person_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organization_id: str = Field(foreign_key="organization.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    role: Role = Field(sa_type=EnumText(Role))
    is_safety: bool = False
    offered_by: str = Field(foreign_key="person.id", max_length=26)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
