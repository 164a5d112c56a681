"""The info object of a repository at a revision, and lists of them."""

import re
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from gatekeeper import authz
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, RepoNotFound
from gatekeeper.kit.clock import now
from gatekeeper.repos import RepoKind, catalogue, catalogue_tags
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.described import Described
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.gathering import describe
from gatekeeper.web.hub.paging import flag, number, page

_NEED_FILES = frozenset({"siblings", "usedStorage", "safetensors", "gguf"})
_ALWAYS = frozenset({"safetensors", "gguf", "config", "transformersInfo", "mask_token"})
_PAGE = 100
_MOST = 500
_MOST_TAGS = 20
_TAGGED = 200
_REFUSED = frozenset({"trained_dataset", "emissions_thresholds"})
_KNOWN_OF_NONE = frozenset({"inference_provider", "inference", "apps"})  # this hub names none for any model
_BOUNDS = re.compile(r"(min|max):([0-9]{1,6}(?:\.[0-9]{1,6})?)([KMBT]?)", re.IGNORECASE)
_LINKS = ("models", "datasets")  # fields of a Space's card
_LATE = frozenset({"gated", "num_parameters", "linked", *_LINKS})  # what no index answers
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


async def info(call: Call) -> Response:
    """What is known of a repository at a revision, main without one, for whoever may know it."""
    wanted = _expand(call)
    with_files = not wanted or bool(wanted & _NEED_FILES)
    (seen,) = await describe(call, [(call.repo, call.resource)], with_files=with_files, wanted=wanted or _ALWAYS)
    with_sizes = flag(call, "blobs") or flag(call, "files_metadata")
    return JSONResponse(
        schemas.info(seen, with_sizes=with_sizes, only=wanted), headers={"Cache-Control": "private, no-store"}
    )


async def listing(call: Call) -> Response:
    """`GET /api/{T}`: repositories that the caller may know, newest change first unless they ask for another order."""
    query = call.request.query_params
    wanted, chosen = _expand(call), _chosen(call)
    also = _also(call, wanted)
    with_files = flag(call, "full") or bool((wanted | also) & _NEED_FILES)
    size = min(number(call, "limit", default=_PAGE, most=_MOST), _PAGE)
    if size == 0 or chosen is None:
        return page(call, [], next_cursor=None)
    kind = RepoKind(call.params["kind"])
    instant = now()
    # Conditions on card and gate are met after the rows were read: then a page looks at many to find a few.
    looked_at = _PAGE if set(query) & _LATE else size
    rows = await catalogue.listing(
        call.session,
        kind,
        visible=authz.listing_filter(call.gatekeeper.policies, call.principal, instant),
        search=" ".join(query.getlist("search")),
        author=query.get("author", ""),
        sort=_sort(query.get("sort", "lastModified")),
        after=query.get("cursor"),
        where=[catalogue_tags.tagged(tag) for tag in sorted(_tags(call))[:_MOST_TAGS]],
        limit=looked_at + 1,
    )
    shown = rows[:looked_at]
    resources = await authz.load_each(call.session, call.principal, shown)
    # INVARIANT: a row is shown only if the single decision agrees with the list's filter.
    known = [
        (repo, resource)
        for repo, resource in zip(shown, resources, strict=True)
        if authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant)
    ]
    with_card = flag(call, "cardData") or flag(call, "full")
    items = [
        schemas.info(seen, with_sizes=False, only=wanted, is_row=True, with_card=with_card)
        for seen in await describe(call, known, with_files=with_files, wanted=wanted | also)
        if chosen(seen)
    ]
    # A client that asked for `limit` rows counts them itself and stops. A page may be shorter than its size.
    if len(items) > size:
        return page(call, items[:size], next_cursor=items[size - 1]["_id"])
    return page(call, items, next_cursor=shown[-1].id if len(rows) > len(shown) else None)


def _chosen(call: Call) -> Callable[[Described], bool] | None:
    """The query's conditions on card and gate, None when nothing can meet them. Raises Invalid for unknown ones."""
    query = call.request.query_params
    if unknown := sorted(set(query) & _REFUSED):
        raise Invalid(f"Listing by {unknown[0]} is not possible here.", next_step="Leave it out.")
    if set(query) & _KNOWN_OF_NONE:
        return None
    tags, bounds = _tags(call), _bounds(query.get("num_parameters"))
    task, gated, uses = query.get("pipeline_tag"), query.get("gated"), _uses(call)

    linked = flag(call, "linked")

    def meets(seen: Described) -> bool:
        return (
            tags <= seen.card.search_tags
            and (bounds is None or bounds[0] <= _parameters(seen) <= bounds[1])
            and task in (None, seen.card.pipeline_tag)
            and (gated is None or (gated.lower() == "true") is bool(seen.gated))
            and all(names <= set(seen.card.names(field)) for field, names in uses.items())
            and (not linked or any(seen.card.names(field) for field in _LINKS))
        )

    return meets


def _uses(call: Call) -> dict[str, set[str]]:
    """What a Space must name to be listed: `models` and `datasets` that the query gives."""
    if RepoKind(call.params["kind"]) is not RepoKind.SPACE:
        return {}
    query = call.request.query_params
    return {field: {name for value in query.getlist(field) for name in value.split(",") if name} for field in _LINKS}


def _tags(call: Call) -> frozenset[str]:
    query = call.request.query_params
    found = {tag for value in query.getlist("filter") for tag in value.split(",") if tag}
    return frozenset(found | set(query.getlist("pipeline_tag")))


def _also(call: Call, wanted: frozenset[str]) -> frozenset[str]:
    """Details that other parameters than `expand` need."""
    asked = {"config"} if flag(call, "config") and not wanted else set()
    return frozenset(asked | ({"safetensors", "gguf"} if "num_parameters" in call.request.query_params else set()))


def _bounds(text: str | None) -> tuple[float, float] | None:
    """`min:6B,max:128B` as two numbers. Raises Invalid."""
    if text is None:
        return None
    found = {"min": 1.0, "max": float("inf")}
    for part in text.split(","):
        if (match := _BOUNDS.fullmatch(part.strip())) is None:
            raise Invalid("num_parameters cannot be read.", next_step="Write it like min:1B,max:10B.")
        found[match[1].lower()] = float(match[2]) * _UNITS[match[3].upper()]
    return found["min"], found["max"]


def _parameters(seen: Described) -> int:
    """How many parameters the model has, 0 where nobody knows."""
    counted = seen.details.get("safetensors") or seen.details.get("gguf") or {}
    return int(counted.get("total", 0))


def _expand(call: Call) -> frozenset[str]:
    """The fields asked for by `expand`. Raises Invalid for one that does not exist, with those that do."""
    query = call.request.query_params
    asked = [value for name in ("expand", "expand[]") for value in query.getlist(name)]
    for value in asked:
        if value not in (fields := schemas.EXPANDABLE[RepoKind(call.params["kind"])]):
            known = "|".join(f'"{name}"' for name in fields)
            raise Invalid(f"Invalid value for expand: expected one of {known}.", next_step="Leave the others out.")
    return frozenset(asked)


def _sort(asked: str) -> Any:
    match asked:
        case "lastModified" | "last_modified":
            return "updated_at"
        case "trendingScore" | "trending_score":
            return "trending"
        case "createdAt" | "created_at":
            return "created_at"
        case "downloads" | "likes":
            return asked
    raise Invalid(
        "There is no such order.", next_step="Use lastModified, createdAt, downloads, likes or trendingScore."
    )


async def single(call: Call) -> Response:
    """Always 404: names of one part, such as the public hub's oldest models have, are none here."""
    raise RepoNotFound(
        f"There is no repository {call.params['single'][:100]!r} here: names have two parts.",
        next_step="Write it as namespace/name.",
    )


async def tags_by_type(call: Call) -> Response:
    """`GET /api/models-tags-by-type`: tags of the newest repositories the caller may know, by their meaning."""
    kind = RepoKind(call.request.url.path.rpartition("/")[2].removesuffix("-tags-by-type"))
    cards = [one.card for one in await _newest(call, kind)]
    return JSONResponse(schemas.tags_by_type(cards), headers={"Cache-Control": "private, no-store"})


async def tasks(call: Call) -> Response:
    """`GET /api/tasks`: the tasks of the newest models the caller may know, each with these, the most loved first."""
    seen = await _newest(call, RepoKind.MODEL)
    return JSONResponse(schemas.tasks(seen), headers={"Cache-Control": "private, no-store"})


async def _newest(call: Call, kind: RepoKind) -> list[Described]:
    rows = await authz.visible(
        call.session, call.gatekeeper.policies, call.principal, kind, instant=now(), limit=_TAGGED
    )
    resources = await authz.load_each(call.session, call.principal, rows)
    return await describe(call, list(zip(rows, resources, strict=True)), with_files=False)


ROUTES = [
    api("/tasks", tasks, needs=None),
    api("/models-tags-by-type", tags_by_type, needs=None),
    api("/datasets-tags-by-type", tags_by_type, needs=None),
    api("/{kind:kind}", listing, needs=None),
    api("/{kind:kind}/{single}", single, needs=None),
    api("/{kind:kind}/{single}/revision/{rest}", single, needs=None),
    api("/{kind:kind}/{ns}/{name}", info, needs=Action.KNOW),
    api("/{kind:kind}/{ns}/{name}/revision/{rev}", info, needs=Action.KNOW),
    guarded("/{single}/resolve/{rest:rest}", single, needs=None),
]
