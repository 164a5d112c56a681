"""The transactional outbox: work that a committed act has promised."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime
from gatekeeper.kit.ids import new_id


class Job(SQLModel, table=True):
    """One piece of work. It is done when `finished_at` is set; `claimed_until` guards against two workers."""

    __tablename__ = "job"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: str = Field(max_length=80, index=True)
    payload: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    run_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    attempts: int = Field(default=0)
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    error: str = Field(default="", sa_type=sa.Text)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
