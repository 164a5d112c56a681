"""Webhooks and what was delivered to them; notices to people, and which of them want mail."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class DeliveryState(StrEnum):
    """Life of a delivery. `withheld`: the webhook's owner may not know what happened."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    WITHHELD = "withheld"


class Webhook(SQLModel, table=True):
    """An address that is told of events. `secret_sealed` is opened only to sign a delivery.

    failing_since  when deliveries began to fail without one that succeeded since
    """

    __tablename__ = "webhook"

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    owner_id: str = Field(foreign_key="person.id", max_length=26, index=True)
    url: str = Field(max_length=2000)
    domains: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    secret_sealed: str = Field(default="", max_length=1000)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    disabled_because: str = Field(default="", max_length=200)
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)


class WebhookWatch(SQLModel, table=True):
    """One thing that a webhook watches, as it was sent; `key` is what events are looked up by."""

    __tablename__ = "webhook_watch"

    webhook_id: str = Field(primary_key=True, foreign_key="webhook.id", max_length=26)
    position: int = Field(primary_key=True)
    kind: str = Field(max_length=20)
    name: str = Field(max_length=160)
    key: str = Field(max_length=180, index=True)


class WebhookDelivery(SQLModel, table=True):
    """One event for one webhook. Its body is made when it is sent, out of what its owner may know then; it is not kept.

    subject_key  deliveries to one webhook with the same one are made in order
    position     the event's number in the ledger: the order
    """

    __tablename__ = "webhook_delivery"
    __table_args__ = (sa.Index("ix_webhook_delivery_due", "state", "next_at"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    webhook_id: str = Field(foreign_key="webhook.id", max_length=26, index=True)
    event_id: str | None = Field(default=None, max_length=26)
    domain: str = Field(max_length=20)
    action: str = Field(max_length=20)
    scope: str = Field(max_length=40)
    subject_key: str = Field(max_length=80)
    position: int = Field(sa_type=sa.BigInteger)
    state: DeliveryState = Field(default=DeliveryState.WAITING, sa_type=EnumText(DeliveryState))
    attempts: int = Field(default=0)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    next_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    claimed_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    status: int | None = Field(default=None)
    duration_ms: int | None = Field(default=None)
    response_bytes: int | None = Field(default=None)
    error: str = Field(default="", max_length=300)


class Notice(SQLModel, table=True):
    """Something a person should know. `event_key` keeps one event from telling them twice."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("person_id", "kind", "event_key"),)

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    person_id: str = Field(foreign_key="person.id", max_length=26)
    kind: str = Field(max_length=40)
    event_key: str = Field(max_length=80)
    facts: dict[str, Any] = Field(default_factory=dict, sa_type=sa.JSON)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    read_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    mailed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class NoticePreference(SQLModel, table=True):
    """A kind of notice that a person does not want (or wants again) by mail. Without a row they get it."""

    __tablename__ = "notice_preference"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    kind: str = Field(primary_key=True, max_length=40)
    by_mail: bool = Field(default=True)


class Following(SQLModel, table=True):
    """Whether a person wants to hear of a repository (`num` 0) or of one discussion of it."""

    __tablename__ = "following"

    person_id: str = Field(primary_key=True, foreign_key="person.id", max_length=26)
    repo_id: str = Field(primary_key=True, foreign_key="repo.id", max_length=26, index=True)
    num: int = Field(primary_key=True)
    is_on: bool = Field(default=True)
    chosen_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class NoticeCursor(SQLModel, table=True):
    """Up to which number of the ledger events have been handed out. One row."""

    __tablename__ = "notice_cursor"

    id: int = Field(default=1, primary_key=True)
    number: int = Field(default=-1, sa_type=sa.BigInteger)
