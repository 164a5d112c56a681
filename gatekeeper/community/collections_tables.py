"""Collections: lists of repositories (and of other collections) that somebody put together."""

import secrets
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, UniqueConstraint

from gatekeeper.kit.clock import now
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.ids import new_id


class ItemKind(StrEnum):
    """What an item is, by the name that the public clients send."""

    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"
    COLLECTION = "collection"


def new_collection_id() -> str:
    """24 hex digits: the end of a collection's slug, which the public clients expect in this form."""
    return secrets.token_hex(12)


class Collection(SQLModel, table=True):
    """A list with a title in a namespace. Only members of the namespace know a private one.

    title_key  the title folded: two collections of one namespace do not share it
    position   its place among the namespace's own collections
    """

    __tablename__ = "collection"
    __table_args__ = (UniqueConstraint("namespace_key", "title_key"),)

    id: str = Field(default_factory=new_collection_id, primary_key=True, max_length=24)
    namespace_key: str = Field(foreign_key="namespace.key", max_length=40)
    title: str = Field(max_length=60)
    title_key: str = Field(max_length=120)
    description: str = Field(default="", max_length=500)
    theme: str = Field(default="orange", max_length=20)
    position: int = Field(default=0)
    is_private: bool = Field(default=False)
    created_by: str | None = Field(default=None, foreign_key="person.id", max_length=26)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class CollectionItem(SQLModel, table=True):
    """A repository or another collection in a collection, by id: whatever its name becomes."""

    __tablename__ = "collection_item"
    __table_args__ = (
        UniqueConstraint("collection_id", "repo_id"),
        UniqueConstraint("collection_id", "other_id"),
        sa.CheckConstraint("(repo_id IS NULL) <> (other_id IS NULL)", name="one_thing"),
    )

    id: str = Field(default_factory=new_id, primary_key=True, max_length=26)
    collection_id: str = Field(foreign_key="collection.id", max_length=24)
    kind: ItemKind = Field(sa_type=EnumText(ItemKind))
    repo_id: str | None = Field(default=None, foreign_key="repo.id", max_length=26, index=True)
    other_id: str | None = Field(default=None, foreign_key="collection.id", max_length=24, index=True)
    position: int = Field(default=0)
    note: str = Field(default="", max_length=500)
    added_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
