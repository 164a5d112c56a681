"""Identities at other providers, sign-ins on their way, and what came with them."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.accounts.tables import Role
from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class Identity(SQLModel, table=True):
    """Somebody at a provider, and who that is here. `email` and `label` are for people to read, never to find by."""

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26, index=True, ondelete="CASCADE")
    provider: str = Field(max_length=30)
    issuer: str = Field(max_length=300)
    subject: str = Field(max_length=255)
    label: str = Field(default="", max_length=254)
    made_admin: bool = Field(default=False)
    linked_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Trip(SQLModel, table=True):
    """A browser on its way to a provider and back, once. `state` and the browser's secret are keyed hashes here."""

    __tablename__ = "oidc_trip"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    provider: str = Field(max_length=30)
    state_hash: str = Field(max_length=64, unique=True)
    browser_hash: str = Field(max_length=64)
    sealed: str = Field(max_length=1000)  # nonce and verifier
    return_to: str = Field(max_length=2000)
    links_session_id: str | None = Field(default=None, max_length=26)  # the session whose account gets an identity
    is_fresh: bool = Field(default=False)  # they are signed in, and must sign in again there
    address_hash: str = Field(max_length=64, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Newcomer(SQLModel, table=True):
    """Somebody whom a provider vouched for and who has to choose a name before they have an account."""

    __tablename__ = "oidc_newcomer"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    provider: str = Field(max_length=30)
    browser_hash: str = Field(max_length=64, index=True)
    sealed: str = Field(sa_type=sa.Text)  # what the provider said
    return_to: str = Field(max_length=2000)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SeenLogout(SQLModel, table=True):
    """A logout token that was obeyed and is not obeyed again."""

    __tablename__ = "oidc_seen_logout"

    jti_hash: str = Field(primary_key=True, max_length=64)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class MappedMembership(SQLModel, table=True):
    """A membership that a provider's claim gave, and that goes when the claim does."""

    __tablename__ = "mapped_membership"
    __table_args__ = (UniqueConstraint("identity_id", "organization_id"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    identity_id: str = Field(foreign_key="identity.id", max_length=26, ondelete="CASCADE")
    membership_id: str = Field(foreign_key="membership.id", max_length=26, index=True, ondelete="CASCADE")
    organization_id: str = Field(foreign_key="organization.id", max_length=26, ondelete="CASCADE")
    role: Role = Field(sa_type=EnumText(Role))


class Invitation(SQLModel, table=True):
    """An address whose owner may make an account at a provider that admits invited people."""

    __tablename__ = "oidc_invitation"

    email_hash: str = Field(primary_key=True, max_length=64)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class SignInLink(SQLModel, table=True):
    """A way in that an operator opened for one person, once, when no other works."""

    __tablename__ = "sign_in_link"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    secret_hash: str = Field(max_length=64, unique=True)
    person_id: str = Field(foreign_key="person.id", max_length=26, ondelete="CASCADE")
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
