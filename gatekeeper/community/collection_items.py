"""What is in a collection: repositories and other collections, in an order, each with a note.

Who may change it, and which items a reader may know, is decided by the callers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.community.collections import Listed, check_text, listing, note_down, touch
from gatekeeper.community.collections_tables import Collection, CollectionItem, ItemKind
from gatekeeper.errors import Conflict, Invalid, NotFound, TooMany
from gatekeeper.repos.tables import Repo

MOST_ITEMS = 500


@dataclass(frozen=True)
class Thing:
    """An item with what it stands for: a repository, or another collection."""

    item: CollectionItem
    repo: Repo | None
    other: Listed | None


async def of(session: AsyncSession, collection_ids: Sequence[str]) -> dict[str, list[Thing]]:
    """What is in each collection, in order. Deleted repositories are left out."""
    query = (
        sa.select(CollectionItem, Repo)
        .outerjoin(Repo, col(Repo.id) == col(CollectionItem.repo_id))
        .where(col(CollectionItem.collection_id).in_(collection_ids))
        .order_by(col(CollectionItem.position), col(CollectionItem.id))
    )
    rows = (await session.execute(query)).all()
    named = {item.other_id for item, _ in rows if item.other_id is not None}
    others = await listing(session, where=[col(Collection.id).in_(named)], limit=len(named)) if named else []
    by_id = {listed.collection.id: listed for listed in others}
    found: dict[str, list[Thing]] = {collection_id: [] for collection_id in collection_ids}
    for item, repo in rows:
        thing = Thing(item, repo, by_id.get(item.other_id or ""))
        if thing.other is not None or (repo is not None and repo.key is not None):
            found[item.collection_id].append(thing)
    return found


async def add(
    session: AsyncSession,
    collection: Collection,
    thing: Repo | Listed,
    kind: ItemKind,
    *,
    by: Principal,
    note: str = "",
) -> CollectionItem:
    """Put a repository or another collection at the end. Raises Conflict when it is there already."""
    others = await _all(session, collection)
    if len(others) >= MOST_ITEMS:
        raise TooMany(f"A collection has at most {MOST_ITEMS} items.", next_step="Remove one first.")
    if isinstance(thing, Listed) and thing.collection.id == collection.id:
        raise Invalid("A collection cannot hold itself.", next_step="Choose another one.")
    made = CollectionItem(
        collection_id=collection.id,
        kind=kind,
        repo_id=thing.id if isinstance(thing, Repo) else None,
        other_id=thing.collection.id if isinstance(thing, Listed) else None,
        position=1 + max((each.position for each in others), default=-1),
        note=check_text(note, "note"),
    )
    repo_id, other_id = made.repo_id, made.other_id
    try:
        async with session.begin_nested():
            session.add(made)
    except IntegrityError:
        raise Conflict("The collection has this item already.", next_step="Change the note of the one there.") from None
    await touch(session, collection)
    body = {"item": made.id, "repo": repo_id, "collection": other_id}
    await note_down(session, "add-item", collection, by=by, body=body)
    return made


async def update(
    session: AsyncSession,
    collection: Collection,
    item_id: str,
    *,
    by: Principal,
    note: str | None = None,
    position: int | None = None,
) -> CollectionItem:
    """Change an item's note or its place (counted from 0). Raises NotFound."""
    item = await _item(session, collection, item_id)
    if note is not None:
        item.note = check_text(note, "note")
    if position is not None:
        others = [each for each in await _all(session, collection) if each.id != item.id]
        others.insert(max(0, position), item)
        for place, each in enumerate(others):
            each.position = place
            session.add(each)
    session.add(item)
    await touch(session, collection)
    await note_down(session, "update-item", collection, by=by, body={"item": item.id})
    return item


async def remove(session: AsyncSession, collection: Collection, item_id: str, *, by: Principal) -> None:
    """Take an item out. Raises NotFound."""
    item = await _item(session, collection, item_id)
    await session.delete(item)
    await touch(session, collection)
    await note_down(session, "remove-item", collection, by=by, body={"item": item.id})


async def _all(session: AsyncSession, collection: Collection) -> list[CollectionItem]:
    query = sa.select(CollectionItem).where(col(CollectionItem.collection_id) == collection.id)
    return list(await session.scalars(query.order_by(col(CollectionItem.position), col(CollectionItem.id))))


async def _item(session: AsyncSession, collection: Collection, item_id: str) -> CollectionItem:
    item = await session.get(CollectionItem, item_id[:26])
    if item is None or item.collection_id != collection.id:
        raise NotFound("The collection has no such item.", next_step="Look at the collection again.")
    return item
