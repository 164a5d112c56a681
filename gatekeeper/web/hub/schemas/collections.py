"""Collections as the Hub's clients send and read them."""

from typing import Literal

from pydantic import Field

from gatekeeper.community import ItemKind
from gatekeeper.community.collection_items import Thing
from gatekeeper.community.collections import Changes
from gatekeeper.kit.canonical import instant_text
from gatekeeper.web.curated import Shown
from gatekeeper.web.hub.schemas.answers import Json
from gatekeeper.web.hub.schemas.sent import Body


class NewCollection(Body):
    title: str = Field(max_length=1_000)
    namespace: str = Field("", max_length=100)
    description: str = Field("", max_length=10_000)
    private: bool = False


class CollectionChanges(Body):
    title: str | None = Field(None, max_length=1_000)
    description: str | None = Field(None, max_length=10_000)
    theme: str | None = Field(None, max_length=40)
    position: int | None = Field(None, ge=0, le=100_000)
    private: bool | None = None

    @property
    def changes(self) -> Changes:
        return Changes(self.title, self.description, self.theme, self.position, self.private)


class ItemName(Body):
    id: str = Field(max_length=300)
    # Papers and buckets are named so that they are refused with a sentence of their own.
    type: Literal["model", "dataset", "space", "collection", "paper", "bucket"]


class NewItem(Body):
    item: ItemName
    note: str = Field("", max_length=10_000)


class ItemChanges(Body):
    note: str | None = Field(None, max_length=10_000)
    position: int | None = Field(None, ge=0, le=100_000)


def collection(shown: Shown, *, most_items: int | None = None) -> Json:
    """One collection. Lists leave `position` out, for the client numbers them itself."""
    row = shown.listed.collection
    return {
        "slug": shown.listed.slug,
        "title": row.title,
        "description": row.description or None,
        "owner": shown.listed.namespace,
        "items": [_item(thing, place) for place, thing in enumerate(shown.things[:most_items])],
        "lastUpdated": instant_text(row.updated_at),
        "theme": row.theme,
        "private": row.is_private,
        "upvotes": 0,
        "isUpvotedByUser": False,
        "position": row.position,
    }


def listed_collection(shown: Shown) -> Json:
    """One row of the list: the first four items, no position."""
    found = collection(shown, most_items=4)
    del found["position"]
    return found


def _item(thing: Thing, place: int) -> Json:
    found: Json = {"_id": thing.item.id, "type": thing.item.kind.value, "position": place}
    if thing.item.note:
        found["note"] = {"text": thing.item.note, "html": ""}
    if thing.item.kind is ItemKind.COLLECTION and thing.other is not None:
        return found | {
            "id": thing.other.collection.id,
            "slug": thing.other.slug,
            "title": thing.other.collection.title,
        }
    assert thing.repo is not None  # the table's own constraint
    return found | {"id": thing.repo.full_name}
