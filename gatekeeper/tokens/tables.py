"""Access tokens. The secret itself is shown once and never stored."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import UtcDateTime
from gatekeeper.kit.ids import new_id


class AccessToken(SQLModel, table=True):
    """A bearer credential of one person, holding a subset of their rights."""

    __tablename__ = "access_token"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    label: str = Field(max_length=80)
    secret_hash: str = Field(max_length=64, unique=True)
    hint: str = Field(max_length=8)  # the secret's last characters, so that its owner can tell tokens apart
    role: str = Field(max_length=10)  # "read" or "write": what whoami reports to the public client
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    # The grant of tokens.oauth that gave it; None for a token made by hand. No foreign key: SQLite cannot add one to a
    # table that is there already, and a grant is never deleted before its tokens.
    grant_id: str | None = Field(default=None, max_length=26, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TokenUse(SQLModel, table=True):
    """When a token was last seen. Apart from the token, so that use does not invalidate cached decisions."""

    __tablename__ = "token_use"

    token_id: str = Field(primary_key=True, foreign_key="access_token.id", max_length=26)
    last_used_at: datetime = Field(sa_type=UtcDateTime)
