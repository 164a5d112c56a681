"""People, organizations, who belongs where, and browser sessions."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Role(StrEnum):
    """Rights in an organization, each including the ones below it. A guest has those of teams alone."""

    ADMIN = "admin"
    WRITE = "write"
    READ = "read"
    GUEST = "guest"

    @property
    def rank(self) -> int:
        """Higher for more rights."""
        return -list(Role).index(self)


class Strength(StrEnum):
    """How somebody proved who they are when a session began."""

    PASSWORD = "password"  # noqa: S105 - the name of a way, not a secret
    SECOND_FACTOR = "second-factor"
    PASSKEY = "passkey"

    @property
    def is_strong(self) -> bool:
        """Whether a stolen password alone would not have been enough."""
        return self is not Strength.PASSWORD


NO_MAILBOX = "@service.invalid"


class Person(SQLModel, table=True):
    """Somebody who can sign in. `id` never changes; name and e-mail may."""

    __tablename__ = "person"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    name: str = Field(max_length=40)
    name_key: str = Field(max_length=40, unique=True)
    fullname: str = Field(default="", max_length=120)
    email: str = Field(max_length=254)
    email_key: str = Field(max_length=254, unique=True)
    email_verified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    password_hash: str | None = Field(default=None, max_length=200)
    is_admin: bool = Field(default=False)
    is_disabled: bool = Field(default=False)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)

    @property
    def is_service(self) -> bool:
        """Whether nobody is behind it but a program, which has no mailbox."""
        return self.email.endswith(NO_MAILBOX)


class Organization(SQLModel, table=True):
    """A namespace shared by several people."""

    __tablename__ = "organization"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    name: str = Field(max_length=40)
    name_key: str = Field(max_length=40, unique=True)
    fullname: str = Field(default="", max_length=120)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    deleted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # the row stays: evidence means its id
    asks_factor: bool = Field(default=False)  # a membership counts only while its person has a second factor


class Namespace(SQLModel, table=True):
    """One name, one owner: keeps people and organizations from sharing a name (`key` is folded, see accounts.names).

    A name without an owner was somebody's: it stays reserved, and opens nothing.

    former_owner_id  whose it was, a person or an organization, who alone may have it again
    """

    __tablename__ = "namespace"

    key: str = Field(primary_key=True, max_length=40)
    name: str = Field(max_length=40)
    skeleton: str = Field(default="", max_length=40, index=True)  # equal for look-alikes, see accounts.names
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    organization_id: str | None = Field(default=None, foreign_key="organization.id", max_length=26)
    former_owner_id: str | None = Field(default=None, max_length=26, index=True)


class Membership(SQLModel, table=True):
    """A person's role in an organization."""

    __tablename__ = "membership"
    __table_args__ = (UniqueConstraint("organization_id", "person_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    organization_id: str = Field(foreign_key="organization.id", max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    role: Role = Field(sa_type=EnumText(Role))
    is_safety: bool = Field(default=False)  # in its safety team; its administrators are without that
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class BrowserSession(SQLModel, table=True):
    """A signed-in browser. The cookie holds a secret; only its keyed hash is here."""

    __tablename__ = "browser_session"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    secret_hash: str = Field(max_length=64, unique=True)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    signed_in_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    user_agent: str = Field(default="", max_length=200)
    strength: Strength = Field(default=Strength.PASSWORD, sa_type=EnumText(Strength))


class SignInAttempt(SQLModel, table=True):
    """A failed sign-in, kept for throttling. Name and address are keyed hashes."""

    __tablename__ = "sign_in_attempt"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    name_hash: str = Field(max_length=64, index=True)
    address_hash: str = Field(max_length=64, index=True)
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class ProviderSession(SQLModel, table=True):
    """How a browser session began: through which identity, how strong, and what ends it at the provider."""

    __tablename__ = "oidc_session"

    session_id: str = Field(foreign_key="browser_session.id", primary_key=True, max_length=26, ondelete="CASCADE")
    identity_id: str = Field(foreign_key="identity.id", max_length=26, index=True, ondelete="CASCADE")
    provider: str = Field(max_length=30)
    sid: str | None = Field(default=None, max_length=255)
    acr: str = Field(default="", max_length=200)
    amr: list[Any] = Field(default_factory=list, sa_type=sa.JSON)
    sealed_id_token: str = Field(sa_type=sa.Text)
