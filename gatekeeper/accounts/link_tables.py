"""Links that were sent by mail, and when sessions were last seen."""

from datetime import datetime
from enum import StrEnum

from sqlmodel import Field, SQLModel

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class LinkKind(StrEnum):
    """What a link opens."""

    RESET = "reset"  # choosing another password
    EMAIL = "email"  # an address becomes the person's, and is known to be
    SIGN_UP = "sign-up"  # an account of one's own
    INVITE = "invite"  # the same, on an administrator's word
    FIRST = "first"  # choosing the first password of an account that was made for them; handed over, not mailed


PASSWORD_LINKS = (LinkKind.RESET, LinkKind.FIRST)


class MailLink(SQLModel, table=True):
    """A link in a mail: good once and for a while. Only the keyed hash of its secret is here."""

    __tablename__ = "mail_link"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    kind: LinkKind = Field(sa_type=EnumText(LinkKind))
    secret_hash: str = Field(max_length=64, unique=True)
    email: str = Field(max_length=254)
    email_key: str = Field(max_length=254, index=True)
    person_id: str | None = Field(default=None, foreign_key="person.id", max_length=26, index=True)
    sent_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)


class SessionUse(SQLModel, table=True):
    """When and from which network a session was last seen. Apart from the session, whose changes are counted."""

    __tablename__ = "session_use"

    session_id: str = Field(primary_key=True, foreign_key="browser_session.id", ondelete="CASCADE", max_length=26)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    network: str = Field(default="", max_length=50)
