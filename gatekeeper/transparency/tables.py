"""The report as it was last made, and refusals of the decision by day."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime


class RefusalCount(SQLModel, table=True):
    """How often the decision said no, by its code and the policy that forbade it (empty: none allowed it).

    repo_id  what it was about; empty for what concerns the hub as a whole
    """

    __tablename__ = "refusal_count"

    day: date = Field(primary_key=True, sa_type=sa.Date)
    code: str = Field(primary_key=True, max_length=40)
    rule: str = Field(primary_key=True, max_length=80)
    repo_id: str = Field(default="", primary_key=True, max_length=26)
    total: int = Field(sa_type=sa.BigInteger)


class TransparencyReport(SQLModel, table=True):
    """One row: the newest report."""

    __tablename__ = "transparency_report"

    id: int = Field(default=1, primary_key=True)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    body: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
