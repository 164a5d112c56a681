"""Collections: lists of repositories that people and organizations put together. Items the caller may not know are
left out, and a private collection is not there for others.
"""

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import JSONResponse, Response

from gatekeeper import community
from gatekeeper.authz import Action
from gatekeeper.community import Collection, ItemKind
from gatekeeper.community.collections import Listed
from gatekeeper.errors import Conflict, GatekeeperError, Invalid
from gatekeeper.repos import Repo
from gatekeeper.web import curated
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import number, page
from gatekeeper.web.respond import error_headers

_PAGE = 100
_SORTS = ("lastModified", "trending", "upvotes")
_KINDS = {"models": ItemKind.MODEL, "datasets": ItemKind.DATASET, "spaces": ItemKind.SPACE}
_PRIVATE = {"Cache-Control": "private, no-store"}


async def listing(call: Call) -> Response:
    """`GET /api/collections`: the collections that the caller may know, by owner or by what is in them."""
    query = call.request.query_params
    if query.get("sort", _SORTS[0]) not in _SORTS:
        raise Invalid("Collections cannot be sorted so.", next_step=f"Use one of {', '.join(_SORTS)}.")
    size = number(call, "limit", default=_PAGE, most=_PAGE) or _PAGE
    start = number(call, "cursor", default=0, most=10_000_000)
    where = [curated.possible(call)]
    if owners := query.getlist("owner"):
        where.append(col(Collection.namespace_key).in_([owner.lower()[:40] for owner in owners[:20]]))
    if names := query.getlist("item"):
        where.append(sa.or_(sa.false(), *[community.collections.holds(repo) for repo in await _items(call, names)]))
    rows = await community.collections.listing(call.session, where=where, offset=start, limit=size + 1)
    found = await curated.shown(call, rows[:size])
    cursor = str(start + size) if len(rows) > size else None
    return page(call, [schemas.listed_collection(each) for each in found], next_cursor=cursor)


async def create(call: Call) -> Response:
    """`POST /api/collections`: make a collection; 409 with the slug there is for a title that is taken."""
    asked = schemas.parse(schemas.NewCollection, await call.request.body())
    namespace = await curated.require_namespace(call, asked.namespace or call.principal.name, Action.CURATE)
    try:
        listed = await community.collections.create(
            call.session,
            namespace,
            asked.title,
            by=call.principal,
            description=asked.description,
            private=asked.private,
        )
    except Conflict as conflict:
        body = {"error": conflict.sentence, "slug": conflict.details.get("slug", "")}
        return JSONResponse(body, conflict.status, headers=error_headers(conflict, status=conflict.status))
    return await _answer(call, listed)


async def show(call: Call) -> Response:
    """`GET /api/collections/{ns}/{slug}`: one collection with its items."""
    return await _answer(call, await _named(call))


async def update(call: Call) -> Response:
    """`PATCH /api/collections/{ns}/{slug}`: change a collection's title, description, theme, position or privacy."""
    asked = schemas.parse(schemas.CollectionChanges, await call.request.body())
    listed = await _named(call, needs=Action.CURATE)
    await community.collections.update(call.session, listed, asked.changes, by=call.principal)
    return JSONResponse({"success": True, "data": schemas.collection(await curated.one(call, listed))})


async def delete(call: Call) -> Response:
    """`DELETE /api/collections/{ns}/{slug}`: delete a collection, not what is in it."""
    listed = await _named(call, needs=Action.CURATE)
    await community.collections.delete(call.session, listed, by=call.principal)
    return JSONResponse({"success": True})


async def add_item(call: Call) -> Response:
    """`POST .../items`: add a repository or a collection that the caller may know; 409 if it is there already."""
    asked = schemas.parse(schemas.NewItem, await call.request.body())
    listed = await _named(call, needs=Action.CURATE)
    thing, kind = await _thing(call, asked.item.type, asked.item.id)
    await community.collection_items.add(
        call.session, listed.collection, thing, kind, by=call.principal, note=asked.note
    )
    return await _answer(call, listed)


async def update_item(call: Call) -> Response:
    """`PATCH .../items/{id}`: change an item's note or its place."""
    asked = schemas.parse(schemas.ItemChanges, await call.request.body())
    listed = await _named(call, needs=Action.CURATE)
    await community.collection_items.update(
        call.session,
        listed.collection,
        call.params["item"],
        by=call.principal,
        note=asked.note,
        position=asked.position,
    )
    return JSONResponse({"success": True})


async def remove_item(call: Call) -> Response:
    """`DELETE .../items/{id}`: take an item out of its collection."""
    listed = await _named(call, needs=Action.CURATE)
    await community.collection_items.remove(call.session, listed.collection, call.params["item"], by=call.principal)
    return JSONResponse({"success": True})


async def _named(call: Call, *, needs: Action | None = None) -> Listed:
    return await curated.require(call, call.params["namespace"], call.params["slug"], needs=needs)


async def _answer(call: Call, listed: Listed) -> Response:
    return JSONResponse(schemas.collection(await curated.one(call, listed)), headers=_PRIVATE)


async def _thing(call: Call, type_: str, name: str) -> tuple[Repo | Listed, ItemKind]:
    if type_ in ("paper", "bucket"):
        raise Invalid(f"This hub has no {type_}s.", next_step="Add models, data sets, Spaces or collections.")
    kind = ItemKind(type_)
    if kind is ItemKind.COLLECTION:
        namespace, _, slug = name.partition("/")
        return await curated.require(call, namespace, slug), kind
    return await curated.named_repo(call, kind, name), kind


async def _items(call: Call, names: list[str]) -> list[Repo]:
    """The repositories `models/ns/name` and the like that the caller may know; the others are in no list."""
    found = []
    for name in names[:20]:
        kind, _, full_name = name.partition("/")
        if kind in _KINDS:
            try:
                found.append(await curated.named_repo(call, _KINDS[kind], full_name))
            except GatekeeperError:
                continue
    return found


_ONE = "/collections/{namespace}/{slug}"

# The namespace or the collection itself is decided by `curated`; these know no repository in their path.
ROUTES = [
    api("/collections", listing, needs=None),
    api("/collections", create, needs=None, methods=("POST",)),
    api(_ONE, show, needs=None),
    api(_ONE, update, needs=None, methods=("PATCH",)),
    api(_ONE, delete, needs=None, methods=("DELETE",)),
    api(f"{_ONE}/items", add_item, needs=None, methods=("POST",)),
    api(f"{_ONE}/items/{{item}}", update_item, needs=None, methods=("PATCH",)),
    api(f"{_ONE}/items/{{item}}", remove_item, needs=None, methods=("DELETE",)),
]
