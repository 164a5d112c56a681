"""Tables of the evidence log. Rows are only ever added; the database itself refuses changes to sealed ones."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime
from gatekeeper.kit.ids import new_id


class LedgerEvent(SQLModel, table=True):
    """One act. `number` and `leaf_sha256` are given when the sealer puts it into the tree.

    People appear by id only, so that erasing a person leaves every proof valid.
    """

    __tablename__ = "ledger_event"
    __table_args__ = tuple(  # in the order in which the log is read
        sa.Index(f"ix_ledger_event_{column}_id", column, "id") for column in ("kind", "actor_id", "repo_id")
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    number: int | None = Field(default=None, sa_type=sa.BigInteger, unique=True)
    kind: str = Field(max_length=80)
    occurred_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    actor_id: str | None = Field(default=None, max_length=26)
    token_id: str | None = Field(default=None, max_length=26)
    repo_id: str | None = Field(default=None, max_length=26)
    subject_id: str | None = Field(default=None, max_length=80, index=True)
    policy_sha256: str | None = Field(default=None, max_length=64)
    door: str | None = Field(default=None, max_length=20)
    credential: str | None = Field(default=None, max_length=20)
    body: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    leaf_sha256: str | None = Field(default=None, max_length=64)


class LedgerNode(SQLModel, table=True):
    """Hash of a complete subtree: level 0 is a leaf, level n covers 2^n leaves."""

    __tablename__ = "ledger_node"

    level: int = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=sa.BigInteger)
    sha256: str = Field(max_length=64)


class LedgerCheckpoint(SQLModel, table=True):
    """A signed tree head, as a C2SP signed note."""

    __tablename__ = "ledger_checkpoint"

    size: int = Field(primary_key=True, sa_type=sa.BigInteger)
    root_sha256: str = Field(max_length=64)
    note: str = Field(sa_type=sa.Text)
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
