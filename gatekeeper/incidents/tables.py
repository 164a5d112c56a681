"""Incidents, what each is linked to, and what was done about it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Severity(StrEnum):
    """How bad it is. Stored for good: values are added, none is renamed."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class IncidentState(StrEnum):
    """Life of an incident. Stored for good."""

    REPORTED = "reported"  # nobody has looked at it yet
    OPEN = "open"
    CLOSED = "closed"  # with a public note
    DISMISSED = "dismissed"  # a report that nothing followed from; nothing of it is public


class LinkKind(StrEnum):
    """What an incident can be linked to. Stored for good."""

    REPOSITORY = "repository"
    REVISION = "revision"
    GRANT = "grant"
    PERSON = "person"
    IMAGE = "image"


class Incident(SQLModel, table=True):
    """Something that went wrong, or that somebody says went wrong.

    repo_id     the repository it is about, whose maintainers handle it; None: the hub itself, for its administrators
    public_note what everybody reads once it is closed
    """

    __tablename__ = "incident"
    __table_args__ = (sa.Index("ix_incident_state_id", "state", "id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str | None = Field(default=None, foreign_key="repo.id", max_length=26, index=True)
    state: IncidentState = Field(default=IncidentState.REPORTED, sa_type=EnumText(IncidentState))
    severity: Severity = Field(default=Severity.MEDIUM, sa_type=EnumText(Severity))
    title: str = Field(max_length=200)
    description: str = Field(default="", sa_type=sa.Text)
    reporter_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    reported_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    public_note: str = Field(default="", sa_type=sa.Text)


class IncidentLink(SQLModel, table=True):
    """One thing that an incident is about.

    target     id of the repository, the grant or the person; a commit; the number of an image's record in hex
    repo_id    where it belongs; those who handle incidents there see the link
    person_id  whom a grant or a link to a person is about: they decide nothing about this incident
    """

    __tablename__ = "incident_link"
    __table_args__ = (sa.UniqueConstraint("incident_id", "kind", "target"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    incident_id: str = Field(foreign_key="incident.id", max_length=26)
    kind: LinkKind = Field(sa_type=EnumText(LinkKind))
    target: str = Field(max_length=80)
    repo_id: str | None = Field(default=None, foreign_key="repo.id", max_length=26, index=True)
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    linked_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class IncidentStep(SQLModel, table=True):
    """What was done, for those who handle the incident: words are here, evidence holds ids and digests."""

    __tablename__ = "incident_step"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    incident_id: str = Field(foreign_key="incident.id", max_length=26, index=True)
    act: str = Field(max_length=20)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    actor_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    note: str = Field(default="", sa_type=sa.Text)
    data: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
