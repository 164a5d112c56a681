"""Which policies were in force when: bundles by their digest, and the acts that put them there."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Source(StrEnum):
    """Where a bundle in force came from. Stored for good: values are added, none is renamed."""

    FOLDER = "folder"  # read at start from the folder in the settings, or from the program itself
    COMMAND = "command"  # put in force by a person, and kept until a person says otherwise


class PolicyBundle(SQLModel, table=True):
    """Every file of a bundle, so that any past answer can be asked again. Never changed or deleted."""

    __tablename__ = "policy_bundle"

    sha256: str = Field(primary_key=True, max_length=64)
    files: dict[str, Any] = Field(sa_type=sa.JSON)  # text by the path in the folder
    added_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class PolicyActivation(SQLModel, table=True):
    """A bundle was put in force. The newest one counts; ids rise with time."""

    __tablename__ = "policy_activation"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    number: int = Field(unique=True)  # 1, 2, 3 ...: two at once cannot both be the next
    bundle_sha256: str = Field(foreign_key="policy_bundle.sha256", max_length=64)
    source: Source = Field(sa_type=EnumText(Source))
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    note: str = Field(default="", max_length=2000)
    activated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
