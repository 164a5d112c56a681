"""Access tokens, what limits them, and accounts of programs. The secret itself is shown once and never stored."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class TokenKind(StrEnum):
    """What a token is for. The values are stored for good."""

    PERSONAL = "personal"  # made by hand
    APPLICATION = "application"  # came of a grant
    SERVICE = "service"  # of a service account, made by its organization
    EXCHANGED = "exchanged"  # of a job elsewhere, for its own signed identity
    INFERENCE = "inference"  # makes images with some models, for minutes


class Verdict(StrEnum):
    """What an organization said to a token. The values are stored for good."""

    APPROVED = "approved"
    REFUSED = "refused"


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
    kind: TokenKind = Field(default=TokenKind.PERSONAL, sa_type=EnumText(TokenKind))
    # What it is limited to (`tokens.limits`): ids by "repositories" and "owners", and "public"; None for everything.
    reach: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON)
    parent_id: str | None = Field(default=None, max_length=26, index=True)  # the token that this one was made with
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class TokenUse(SQLModel, table=True):
    """When, from where and by which program a token was last seen.

    Apart from the token, so that use does not invalidate cached decisions.
    """

    __tablename__ = "token_use"

    token_id: str = Field(primary_key=True, foreign_key="access_token.id", max_length=26)
    last_used_at: datetime = Field(sa_type=UtcDateTime)
    place: str | None = Field(default=None, max_length=50)  # the network, never the address
    client: str | None = Field(default=None, max_length=40)


class TokenPolicy(SQLModel, table=True):
    """What an organization demands of tokens that people make by hand."""

    __tablename__ = "token_policy"

    organization_id: str = Field(primary_key=True, foreign_key="organization.id", max_length=26)
    needs_approval: bool = Field(default=False)
    max_days: int | None = Field(default=None)  # the longest life of a token that reaches it
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class TokenVerdict(SQLModel, table=True):
    """An organization's word on one token."""

    __tablename__ = "token_verdict"
    __table_args__ = (UniqueConstraint("token_id", "organization_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    token_id: str = Field(foreign_key="access_token.id", max_length=26)
    organization_id: str = Field(foreign_key="organization.id", max_length=26, index=True)
    verdict: Verdict = Field(sa_type=EnumText(Verdict))
    by_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ServiceAccount(SQLModel, table=True):
    """Marks a person as no human being: an organization's account that only programs act with.

    `secret_hash` is of the secret for client credentials; None where it has none.
    """

    __tablename__ = "service_account"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    organization_id: str = Field(foreign_key="organization.id", max_length=26, index=True)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)  # the most that its tokens may do
    secret_hash: str | None = Field(default=None, max_length=64)
    created_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
