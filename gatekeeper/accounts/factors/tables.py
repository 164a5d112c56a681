"""What people prove themselves with beside a password."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Totp(SQLModel, table=True):
    """An app that shows codes. The secret is sealed; it counts once a first code has confirmed it."""

    __tablename__ = "totp"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    sealed: str = Field(max_length=200)
    last_step: int = Field(default=0)  # the newest time step whose code was used: none is used twice
    confirmed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class RecoveryCode(SQLModel, table=True):
    """A code on paper, used once. Only its keyed hash is here."""

    __tablename__ = "recovery_code"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    code_hash: str = Field(max_length=64, unique=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Passkey(SQLModel, table=True):
    """A key in a device or password manager; here lies its public half."""

    __tablename__ = "passkey"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    name: str = Field(max_length=60)
    credential_sha256: str = Field(max_length=64, unique=True)  # ids may be a kilobyte long
    credential_id: bytes
    public_key: bytes
    sign_count: int = Field(default=0, sa_type=sa.BigInteger)  # four bytes without a sign
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class StepKind(StrEnum):
    """What a step continues."""

    SECOND = "second"  # the first step was right, the second factor is still to come
    PASSKEY = "passkey"  # somebody begins to sign in with a passkey
    REGISTER = "register"  # a signed-in person adds a passkey


class SignInStep(SQLModel, table=True):
    """What a browser has begun. The cookie holds a secret; only its keyed hash is here.

    arrival  columns of the ProviderSession that comes of it, None if no provider had a part
    """

    __tablename__ = "sign_in_step"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: StepKind = Field(sa_type=EnumText(StepKind))
    secret_hash: str = Field(max_length=64, unique=True)
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    challenge: bytes = Field(default=b"")
    arrival: dict[str, Any] | None = Field(default=None, sa_type=sa.JSON(none_as_null=True))
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
