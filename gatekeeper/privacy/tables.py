"""Who may not be forgotten yet, who was, and what was cleared when its time was over."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime


class LegalHold(SQLModel, table=True):
    """A person's records are kept although they or a retention period would end them: a claim is open."""

    __tablename__ = "legal_hold"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    reason: str = Field(max_length=500)
    placed_by: str | None = Field(default=None, max_length=26)
    placed_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Erasure(SQLModel, table=True):
    """A person who was forgotten: their row stands on without a name, so that the ids in the evidence mean somebody."""

    __tablename__ = "erasure"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    erased_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Cleared(SQLModel, table=True):
    """A request whose personal words were taken out at the end of their time; the request itself stands on."""

    __tablename__ = "cleared"

    request_id: str = Field(primary_key=True, foreign_key="access_request.id", max_length=26)
    cleared_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
