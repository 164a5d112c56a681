"""Requests for access, and the grants that enforcement reads."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class RequestState(StrEnum):
    """States of a request that exist today; the values are stored for good, new ones are added."""

    IN_REVIEW = "in_review"
    ACTIVE = "active"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    CLOSED = "closed"
    EXPIRED = "expired"


class AccessRequest(SQLModel, table=True):
    """One person asking for one repository. At most one is open for a pair (partial unique index)."""

    __tablename__ = "access_request"
    __table_args__ = (
        sa.Index(
            "uq_access_request_open",
            "repo_id",
            "person_id",
            unique=True,
            sqlite_where=sa.text("state = 'in_review'"),
            postgresql_where=sa.text("state = 'in_review'"),
        ),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    state: RequestState = Field(default=RequestState.IN_REVIEW, sa_type=EnumText(RequestState), index=True)
    fields: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    bundle_sha256: str | None = Field(default=None, max_length=64)
    submitted_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decided_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    reason: str = Field(default="", max_length=2000)
    is_direct: bool = Field(default=False)  # a maintainer gave access without being asked
    version: int = Field(default=0)  # compared and raised by every transition, so that of two at once one wins


class AccessGrant(SQLModel, table=True):
    """A right that was given. In force while not revoked and `now < ends_at`: compared when deciding, by no job."""

    __tablename__ = "access_grant"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    request_id: str | None = Field(default=None, foreign_key="access_request.id", max_length=26)
    is_tester: bool = Field(default=False)  # named for trusted_test
    granted_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    granted_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoke_reason: str = Field(default="", max_length=2000)
