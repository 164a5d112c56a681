"""What the authorization server remembers. Every secret is here as its keyed hash only."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class DeviceState(StrEnum):
    """Where a device's request stands. The values are stored for good."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"


class Grant(SQLModel, table=True):
    """What one person let one application do, once: the family of all tokens that came of it."""

    __tablename__ = "oauth_grant"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    client_id: str = Field(max_length=64, index=True)  # no foreign key: applications of the house have no row
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    label: str = Field(max_length=80)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RefreshToken(SQLModel, table=True):
    """Gets the next access token of its grant, and its own successor."""

    __tablename__ = "oauth_refresh_token"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    grant_id: str = Field(foreign_key="oauth_grant.id", max_length=26, index=True)
    secret_hash: str = Field(max_length=64, unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    rotated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # first use; see refresh.GRACE_SECONDS
    uses: int = Field(default=0)


class DeviceRequest(SQLModel, table=True):
    """A program without a browser waits for a person to let it in."""

    __tablename__ = "oauth_device_request"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    device_code_hash: str = Field(max_length=64, unique=True)
    user_code_hash: str = Field(max_length=64, unique=True)
    client_id: str = Field(max_length=64)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    user_agent: str = Field(default="", max_length=200)
    state: DeviceState = Field(default=DeviceState.PENDING, sa_type=EnumText(DeviceState))
    grant_id: str | None = Field(default=None, foreign_key="oauth_grant.id", max_length=26)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    polled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    interval_seconds: int = Field(default=5)


class Application(SQLModel, table=True):
    """A site or program that somebody registered, so that people can sign in to it with this hub."""

    __tablename__ = "oauth_application"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)  # the client id on the wire
    owner_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    name: str = Field(max_length=60)
    redirect_uris: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    secret_hash: str | None = Field(default=None, max_length=64)  # None: public, it cannot keep a secret
    needs_pkce: bool = Field(default=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Code(SQLModel, table=True):
    """An authorization code: what a person allowed, on its way through their browser."""

    __tablename__ = "oauth_code"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    secret_hash: str = Field(max_length=64, unique=True)
    client_id: str = Field(max_length=64)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    redirect_uri: str = Field(max_length=500)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    nonce: str | None = Field(default=None, max_length=200)
    challenge: str | None = Field(default=None, max_length=128)
    signed_in_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    grant_id: str | None = Field(default=None, foreign_key="oauth_grant.id", max_length=26)


class Consent(SQLModel, table=True):
    """What a person said yes to for an application, so that they are not asked for the same twice."""

    __tablename__ = "oauth_consent"
    __table_args__ = (UniqueConstraint("person_id", "client_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    client_id: str = Field(max_length=64)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    given_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class Publisher(SQLModel, table=True):
    """Jobs elsewhere that a maintainer trusts: whoever shows their issuer's statement with these claims gets a token.

    claims  name -> pattern, see `publishers.matches`
    """

    __tablename__ = "trusted_publisher"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    repo_id: str = Field(foreign_key="repo.id", max_length=26, index=True)
    person_id: str = Field(foreign_key="person.id", max_length=26)  # who trusts them, and whom their tokens act for
    label: str = Field(max_length=60)
    issuer: str = Field(max_length=300)
    claims: dict[str, str] = Field(default_factory=dict, sa_type=sa.JSON)
    scopes: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    removed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SeenStatement(SQLModel, table=True):
    """A statement that was exchanged: never again, for as long as it could be."""

    __tablename__ = "seen_statement"

    digest: str = Field(primary_key=True, max_length=64)  # of issuer and `jti`
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
