"""Collections' verbs: make, find, change and delete one. Who may do so is decided by the callers."""

import re
import unicodedata
from collections.abc import Collection as AnyOf
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper import ledger
from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace
from gatekeeper.community.collections_tables import Collection, CollectionItem
from gatekeeper.errors import Conflict, Invalid, TooMany
from gatekeeper.kit.clock import now
from gatekeeper.repos.tables import Repo

THEMES = ("orange", "blue", "green", "purple", "pink", "indigo")
LONGEST_TITLE = 60
LONGEST_TEXT = 500
MOST_OF_A_NAMESPACE = 1_000
_ID = re.compile(r"[0-9a-f]{24}", re.ASCII)


@dataclass(frozen=True)
class Listed:
    """A collection with the namespace it lies in, in that one's canonical case."""

    collection: Collection
    namespace: str

    @property
    def slug(self) -> str:
        """`ns/title-<24 hex>`. The words follow the title; only the hexadecimal end names the collection."""
        return f"{self.namespace}/{slug_words(self.collection.title)}-{self.collection.id}"


@dataclass(frozen=True)
class Changes:
    """What to change; None leaves a field as it is."""

    title: str | None = None
    description: str | None = None
    theme: str | None = None
    position: int | None = None
    is_private: bool | None = None


async def create(
    session: AsyncSession,
    namespace: Namespace,
    title: str,
    *,
    by: Principal,
    description: str = "",
    private: bool = False,
) -> Listed:
    """A new, empty collection in `namespace`. Raises Invalid, and Conflict with `details["slug"]` for a taken title."""
    count = await session.scalar(_count(namespace.key)) or 0
    if count >= MOST_OF_A_NAMESPACE:
        raise TooMany(f"A namespace has at most {MOST_OF_A_NAMESPACE:,} collections.", next_step="Delete one first.")
    made = Collection(
        namespace_key=namespace.key,
        title=_title(title),
        title_key=_fold(title),
        description=check_text(description, "description"),
        is_private=private,
        position=count,
        created_by=by.person_id,
    )
    await _keep(session, made, namespace.name, {})
    await note_down(session, "create", made, by=by, body={"private": private})
    return Listed(made, namespace.name)


async def find(session: AsyncSession, namespace: str, slug: str) -> Listed | None:
    """The collection that `slug` (`title-<24 hex>`, or the end alone) names, whatever its title was then."""
    collection_id = slug[-24:]
    if not _ID.fullmatch(collection_id):
        return None
    query = (
        sa.select(Collection, col(Namespace.name))
        .join(Namespace, col(Namespace.key) == col(Collection.namespace_key))
        .where(col(Collection.id) == collection_id, col(Collection.namespace_key) == namespace.lower())
    )
    row = (await session.execute(query)).first()
    return Listed(row[0], row[1]) if row else None


async def update(session: AsyncSession, listed: Listed, changes: Changes, *, by: Principal) -> Listed:
    """Change what is given. Raises Invalid, and Conflict for a title that another one of the namespace has."""
    collection = listed.collection
    values: dict[str, Any] = {}
    if changes.title is not None:
        values |= {"title": _title(changes.title), "title_key": _fold(changes.title)}
    if changes.description is not None:
        values["description"] = check_text(changes.description, "description")
    if changes.theme is not None:
        if changes.theme not in THEMES:
            raise Invalid("There is no such theme.", next_step=f"Use one of {', '.join(THEMES)}.")
        values["theme"] = changes.theme
    if changes.is_private is not None:
        values["is_private"] = changes.is_private
    await _keep(session, collection, listed.namespace, values | {"updated_at": now()})
    if changes.position is not None:
        await _place_collection(session, collection, changes.position)
    await note_down(session, "update", collection, by=by, body={"private": collection.is_private})
    return listed


async def delete(session: AsyncSession, listed: Listed, *, by: Principal) -> None:
    """Take the collection away, also out of others."""
    collection = listed.collection
    await session.execute(
        sa.delete(CollectionItem).where(
            sa.or_(
                col(CollectionItem.collection_id) == collection.id,
                col(CollectionItem.other_id) == collection.id,
            )
        )
    )
    await session.delete(collection)
    await note_down(session, "delete", collection, by=by, body={})


async def listing(
    session: AsyncSession,
    *,
    where: AnyOf[sa.ColumnElement[bool]],
    sort: str = "lastModified",
    offset: int = 0,
    limit: int = 50,
) -> list[Listed]:
    """Collections that meet `where`, last changed first, or by their place in the namespace (`position`)."""
    newest: list[sa.ColumnElement[Any]] = [col(Collection.updated_at).desc(), col(Collection.id).desc()]
    order = [col(Collection.position), *newest] if sort == "position" else newest
    query = (
        sa.select(Collection, col(Namespace.name))
        .join(Namespace, col(Namespace.key) == col(Collection.namespace_key))
        .where(*where)
        .order_by(*order)
        .offset(offset)
        .limit(limit)
    )
    return [Listed(collection, namespace) for collection, namespace in await session.execute(query)]


def holds(repo: Repo) -> sa.ColumnElement[bool]:
    """A condition on Collection: this repository is in it."""
    return col(Collection.id).in_(
        sa.select(col(CollectionItem.collection_id)).where(col(CollectionItem.repo_id) == repo.id)
    )


def slug_words(title: str) -> str:
    """A title as a part of an address: ASCII letters and digits of it, joined by dashes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:LONGEST_TITLE].strip("-") or "collection"


async def _keep(session: AsyncSession, collection: Collection, namespace: str, values: dict[str, Any]) -> None:
    """Write `collection` with changed `values`. Raises Conflict, with the session as it was, for a taken title."""
    namespace_key = collection.namespace_key
    title_key = values.get("title_key", collection.title_key)
    try:
        async with session.begin_nested():
            for name, value in values.items():
                setattr(collection, name, value)
            session.add(collection)
    except IntegrityError:
        query = sa.select(Collection).where(
            col(Collection.namespace_key) == namespace_key, col(Collection.title_key) == title_key
        )
        there = await session.scalar(query)
        raise Conflict(
            "There is a collection of that title already.",
            next_step="Choose another title, or go on with the one there is.",
            details={"slug": Listed(there, namespace).slug} if there else {},
        ) from None


async def _place_collection(session: AsyncSession, collection: Collection, position: int) -> None:
    query = sa.select(Collection).where(
        col(Collection.namespace_key) == collection.namespace_key, col(Collection.id) != collection.id
    )
    others = list(await session.scalars(query.order_by(col(Collection.position), col(Collection.created_at))))
    others.insert(max(0, position), collection)
    for place, each in enumerate(others):
        each.position = place
        session.add(each)


async def touch(session: AsyncSession, collection: Collection) -> None:
    """The collection was changed now."""
    collection.updated_at = now()
    session.add(collection)


def _count(key: str) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(Collection).where(col(Collection.namespace_key) == key)


def _title(text: str) -> str:
    title = " ".join(text.split())
    if not title or len(title) > LONGEST_TITLE or not title.isprintable():
        raise Invalid(
            f"A collection's title has 1 to {LONGEST_TITLE} printable characters.", next_step="Choose another title."
        )
    return title


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", " ".join(text.split())).casefold()[:120]


def check_text(text: str, what: str) -> str:
    """`text` without blanks around it. Raises Invalid when it is too long or holds control characters."""
    plain = text.strip()
    if len(plain) > LONGEST_TEXT or not all(letter.isprintable() or letter == "\n" for letter in plain):
        raise Invalid(f"A {what} has at most {LONGEST_TEXT} printable characters.", next_step="Shorten it.")
    return plain


async def note_down(
    session: AsyncSession, action: str, collection: Collection, *, by: Principal, body: dict[str, Any]
) -> None:
    """Write evidence of an act on the collection."""
    await ledger.record(
        session,
        f"community:collection:{action}",
        actor=by.person_id,
        token=by.token_id,
        subject=collection.id,
        body=body,
    )
