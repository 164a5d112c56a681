"""Collections: see them, make one, change it, and put models into it."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import col
from starlette.responses import RedirectResponse, Response

from gatekeeper import authz, community
from gatekeeper.accounts import organizations
from gatekeeper.accounts.tables import Role
from gatekeeper.authz import Action
from gatekeeper.community import Collection, ItemKind
from gatekeeper.community.collection_items import Thing
from gatekeeper.community.collections import Changes, Listed
from gatekeeper.errors import Conflict, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import RepoKind
from gatekeeper.web import curated
from gatekeeper.web.curated import Shown
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.kinds import for_kinds
from gatekeeper.web.portal import forms
from gatekeeper.web.portal.views import render, repo_url, see_each

_PAGE = 20
_MOST_OFFERED = 200
_KINDS = {
    RepoKind.MODEL: ItemKind.MODEL,
    RepoKind.DATASET: ItemKind.DATASET,
    RepoKind.SPACE: ItemKind.SPACE,
}


@dataclass(frozen=True)
class Form:
    """The form as it was sent, or as it begins."""

    title: str = ""
    namespace: str = ""
    description: str = ""
    is_private: bool = False


@dataclass(frozen=True)
class Row:
    """A collection as lists and headings show it."""

    url: str
    title: str
    owner: str
    description: str
    is_private: bool
    updated_at: datetime
    count: int


@dataclass(frozen=True)
class Item:
    """One thing in a collection."""

    id: str
    kind: str
    name: str
    url: str
    note: str
    picture: str = ""


async def listing(call: Call) -> Response:
    """`GET /collections`: those that the reader may know, last changed first."""
    text = call.request.query_params.get("after", "0")
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0
    rows = await community.collections.listing(
        call.session, where=[curated.possible(call)], offset=start, limit=_PAGE + 1
    )
    found = await curated.shown(call, rows[:_PAGE])
    return render(
        call,
        "portal/collections.html",
        rows=[_row(each) for each in found],
        newer="/collections" if start else None,
        older=f"/collections?after={start + _PAGE}" if len(rows) > _PAGE else None,
    )


async def new(call: Call) -> Response:
    """`GET /collections/new`."""
    return await _form(call, Form(namespace=call.principal.name))


async def create(call: Call) -> Response:
    """`POST /collections/new`."""
    form = await _sent(call)
    namespace = await curated.require_namespace(call, form.namespace, Action.CURATE)
    try:
        async with call.session.begin_nested():
            listed = await community.collections.create(
                call.session,
                namespace,
                form.title,
                by=call.principal,
                description=form.description,
                private=form.is_private,
            )
    except (Invalid, Conflict) as error:
        return await _form(call, form, errors=_named(error), status=422)
    return RedirectResponse(f"{_url(listed)}?done=collection-made", 303)


async def show(call: Call) -> Response:
    """`GET /collections/{ns}/{slug}`. A former title leads to the present address."""
    listed = await _required(call)
    if call.request.url.path != _url(listed):
        return RedirectResponse(_url(listed), 307, headers={"Cache-Control": "private, no-store"})
    seen = await curated.one(call, listed)
    may_curate = await curated.may_curate(call, listed.namespace)
    return render(
        call,
        "portal/collection.html",
        collection=_row(seen),
        items=await _items(call, seen),
        may_curate=may_curate,
    )


async def edit(call: Call) -> Response:
    """`GET /collections/{ns}/{slug}/edit`."""
    listed = await _required(call, needs=Action.CURATE)
    row = listed.collection
    return await _form(call, Form(row.title, listed.namespace, row.description, row.is_private), listed=listed)


async def update(call: Call) -> Response:
    """`POST /collections/{ns}/{slug}/edit`."""
    listed = await _required(call, needs=Action.CURATE)
    form, before = await _sent(call), _url(listed)
    changes = Changes(title=form.title, description=form.description, is_private=form.is_private)
    try:
        async with call.session.begin_nested():
            await community.collections.update(call.session, listed, changes, by=call.principal)
    except (Invalid, Conflict) as error:
        return await _form(call, form, listed=listed, url=before, errors=_named(error), status=422)
    return RedirectResponse(f"{_url(listed)}?done=collection-saved", 303)


async def delete(call: Call) -> Response:
    """`POST /collections/{ns}/{slug}/delete`."""
    listed = await _required(call, needs=Action.CURATE)
    await community.collections.delete(call.session, listed, by=call.principal)
    return RedirectResponse("/collections?done=collection-deleted", 303)


async def remove(call: Call) -> Response:
    """`POST /collections/{ns}/{slug}/items/{item}/remove`."""
    listed = await _required(call, needs=Action.CURATE)
    await community.collection_items.remove(call.session, listed.collection, call.params["item"], by=call.principal)
    return RedirectResponse(f"{_url(listed)}?done=collection-saved", 303)


async def choose(call: Call) -> Response:
    """`GET /{ns}/{name}/collect`: into which of my collections?"""
    _require_person(call)
    return await _choose(call)


async def collect(call: Call) -> Response:
    """`POST /{ns}/{name}/collect`."""
    _require_person(call)
    sent = await forms.read(call.request)
    namespace, _, slug = forms.text(sent, "collection", most=200).partition("/")
    listed = await curated.require(call, namespace, slug, needs=Action.CURATE)
    try:
        async with call.session.begin_nested():
            await community.collection_items.add(
                call.session,
                listed.collection,
                call.repo,
                _KINDS[call.repo.kind],
                by=call.principal,
                note=forms.text(sent, "note", most=2_000),
            )
    except (Invalid, Conflict) as error:
        named = "note" if isinstance(error, Invalid) else "collection"
        return await _choose(call, errors={named: error.sentence}, status=422)
    return RedirectResponse(f"{_url(listed)}?done=collected", 303)


def _require_person(call: Call) -> None:
    authz.require_global(call.gatekeeper.policies, call.principal, Action.USE_ACCOUNT, now())


async def _required(call: Call, *, needs: Action | None = None) -> Listed:
    return await curated.require(call, call.params["namespace"], call.params["slug"], needs=needs)


async def _choose(call: Call, *, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    keys = [space.lower() for space in await _namespaces(call)]
    mine = await community.collections.listing(
        call.session, where=[col(Collection.namespace_key).in_(keys)], limit=_MOST_OFFERED
    )
    return render(
        call,
        "portal/collect.html",
        status=status,
        errors=errors or {},
        repo_url=repo_url(call.repo),
        full_name=call.repo.full_name,
        options=[(listed.slug, f"{listed.collection.title} ({listed.namespace})") for listed in mine],
    )


async def _form(
    call: Call,
    form: Form,
    *,
    listed: Listed | None = None,
    url: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    return render(
        call,
        "portal/collection_form.html",
        status=status,
        errors=errors or {},
        form=form,
        url=url or (_url(listed) if listed else ""),
        namespaces=[(name, name) for name in await _namespaces(call)],
    )


async def _sent(call: Call) -> Form:
    sent = await forms.read(call.request)
    return Form(
        title=forms.text(sent, "title", most=200),
        namespace=forms.text(sent, "namespace", most=100),
        description=forms.text(sent, "description", most=2_000),
        is_private=forms.text(sent, "is_private", most=10) == "yes",
    )


async def _namespaces(call: Call) -> list[str]:
    """Where the caller may make collections: offered in forms; what is sent is decided again."""
    found = await organizations.organizations_of(call.session, call.principal.person_id or "")
    return [call.principal.name, *(each.name for each, role in found if role in (Role.ADMIN, Role.WRITE))]


def _row(seen: Shown) -> Row:
    row = seen.listed.collection
    return Row(
        url=_url(seen.listed),
        title=row.title,
        owner=seen.listed.namespace,
        description=row.description,
        is_private=row.is_private,
        updated_at=row.updated_at,
        count=len(seen.things),
    )


async def _items(call: Call, shown: Shown) -> list[Item]:
    repos = [thing.repo for thing in shown.things if thing.repo is not None]
    resources = await authz.load_each(call.session, call.principal, repos)
    seen = await see_each(call, list(zip(repos, resources, strict=True)))
    found = {repo.id: one.head.picture for repo, one in zip(repos, seen, strict=True)}
    return [replace(_item(each), picture=found.get(each.repo.id, "") if each.repo else "") for each in shown.things]


def _item(thing: Thing) -> Item:
    kind, note = thing.item.kind.value, thing.item.note
    if thing.other is not None:
        return Item(thing.item.id, kind, thing.other.collection.title, _url(thing.other), note)
    assert thing.repo is not None  # the table's own constraint
    return Item(thing.item.id, kind, thing.repo.full_name, repo_url(thing.repo), note)


def _url(listed: Listed) -> str:
    return f"/collections/{listed.slug}"


def _named(error: Invalid | Conflict) -> dict[str, str]:
    return {"description" if "description" in error.sentence.lower() else "title": error.sentence}


_ONE = "/collections/{namespace}/{slug}"

ROUTES = [
    # Which collections, and which of their items, is decided one by one in `curated`.
    guarded("/collections", listing, needs=None),
    guarded("/collections/new", new, needs=Action.USE_ACCOUNT),
    guarded("/collections/new", create, needs=Action.USE_ACCOUNT, methods=("POST",)),
    guarded(_ONE, show, needs=None),
    guarded(f"{_ONE}/edit", edit, needs=Action.USE_ACCOUNT),
    guarded(f"{_ONE}/edit", update, needs=Action.USE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/delete", delete, needs=Action.USE_ACCOUNT, methods=("POST",)),
    guarded(f"{_ONE}/items/{{item}}/remove", remove, needs=Action.USE_ACCOUNT, methods=("POST",)),
    *for_kinds("/{ns}/{name}/collect", choose, needs=Action.KNOW),
    *for_kinds("/{ns}/{name}/collect", collect, needs=Action.KNOW, methods=("POST",)),
]
