"""The lists of models, data sets and Spaces: what the caller may know, narrowed by what they look for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import cast, get_args
from urllib.parse import urlencode

import sqlalchemy as sa
from starlette.responses import Response

from gatekeeper import authz, releases
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo, RepoKind, catalogue, catalogue_tags, popularity
from gatekeeper.repos.catalogue import SortKey
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.kinds import of_kind
from gatekeeper.web.portal import restrictions
from gatekeeper.web.portal.counting import CAN, Numbers, can, numbers
from gatekeeper.web.portal.views import Head, Seen, policies_dir, render, see_each

_PAGE = 20
_LONGEST = 100
_MOST_ROUNDS = 5  # pages of rows looked through for one page that is shown
_OTHER = "other"  # the id in a card whose license has a name of its own


@dataclass(frozen=True)
class Wanted:
    """What a list is narrowed to, as the address says it; "" for anything."""

    q: str = ""
    stage: str = ""
    can: str = ""
    license: str = ""
    task: str = ""
    library: str = ""
    sort: str = ""

    def address(self, href: str, **changes: str) -> str:
        """The address of this list with some of it changed."""
        query = {name: value for name, value in ({**vars(self), **changes}).items() if value}
        return f"{href}?{urlencode(query)}" if query else href

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return replace(self, sort="") != Wanted()


async def repositories(call: Call) -> Response:
    """`GET /models`, `/datasets` and `/spaces`: what the caller may know, newest change first."""
    kind = RepoKind(call.params["kind"])
    facts, query = words.KINDS[kind], call.request.query_params
    wanted = Wanted(**{each.name: query.get(each.name, "").strip()[:_LONGEST] for each in fields(Wanted)})
    wanted = replace(wanted, task=wanted.task.lower().replace(" ", "-"), library=wanted.library.lower())
    heads, after = await listed(call, kind, wanted, after=query.get("after"), limit=_PAGE)
    licenses = restrictions.titles(policies_dir(call))
    if wanted.license:
        licenses = {wanted.license: wanted.license} | licenses
    tasks = {tag: tag.replace("-", " ").capitalize() for tag in (*words.TASKS, wanted.task) if tag}
    stages = {name: stage.label for name, stage in words.STAGES.items()}
    cans = {name: text for name, text in words.CAN.items() if facts.makes_images or name != "generate"}
    is_counted = not (wanted.q or wanted.license or wanted.task or wanted.library)
    counts = await numbers(call, kind, stage=wanted.stage, what=wanted.can) if is_counted else Numbers({}, {})
    return render(
        call,
        "portal/models.html",
        kind=facts,
        repos=heads,
        wanted=wanted,
        cans=_with_numbers(cans, counts.cans),
        stages=_with_numbers(stages, counts.stages),
        empty=[key for key, number in {**counts.cans, **counts.stages}.items() if not number],
        licenses=[("", "Any"), *licenses.items()],
        tasks=[("", "Any"), *tasks.items()],
        chosen=[
            (words.FILTERS[name], text, wanted.address(facts.href, **{name: ""}))
            for name, text in _told(wanted, stages | words.CAN | licenses | tasks)
        ],
        first=wanted.address(facts.href) if query.get("after") else None,
        further=wanted.address(facts.href, after=after) if after else None,
    )


async def listed(
    call: Call, kind: RepoKind, wanted: Wanted, *, after: str | None = None, limit: int
) -> tuple[list[Head], str | None]:
    """Rows of a list and where it goes on."""
    where = _conditions(call, wanted)
    if where is None:
        return [], None
    sort = cast("SortKey", wanted.sort) if wanted.sort in get_args(SortKey) else "updated_at"
    found: list[tuple[Repo, Head]] = []
    for _ in range(_MOST_ROUNDS):
        rows = await catalogue.listing(
            call.session,
            kind,
            visible=authz.listing_filter(call.gatekeeper.policies, call.principal, now()),
            search=wanted.q,
            sort=sort,
            after=after,
            where=where,
            limit=limit + 1,
            in_tags=True,
        )
        resources = await authz.load_each(call.session, call.principal, rows[:limit])
        for row, seen in zip(rows, await see_each(call, list(zip(rows, resources, strict=False))), strict=False):
            # INVARIANT: a row is shown only if the single decision agrees with the list's filter.
            if _fits(seen, wanted):
                found.append((row, seen.head))
                if len(found) == limit:
                    return await _counted(call, found), row.id if rows[-1] is not row else None
        if len(rows) <= limit:
            return await _counted(call, found), None
        after = rows[limit - 1].id
    return await _counted(call, found), after


def _conditions(call: Call, wanted: Wanted) -> list[sa.ColumnElement[bool]] | None:
    """What every row that fits meets in the database; None where nothing can."""
    if wanted.stage not in {"", *words.STAGES} or wanted.can not in {"", *CAN}:
        return None
    found = [catalogue_tags.tagged(tag) for tag in (wanted.task, wanted.library) if tag]
    if wanted.license:
        names = (f"license:{wanted.license}", f"license:{_OTHER}")
        found.append(sa.or_(*(catalogue_tags.tagged(name) for name in names)))
    if wanted.stage:
        found.append(releases.released_at(Stage(wanted.stage)))
    if wanted.can:
        policies, action = call.gatekeeper.policies, CAN[wanted.can]
        found.append(authz.listing_filter(policies, call.principal, now(), action=action))
    return found


def _fits(seen: Seen, wanted: Wanted) -> bool:
    """Whether what the reader stands before is wanted, as far as they may read its card."""
    card = seen.card
    return (
        bool(seen.rights[Action.KNOW])
        and wanted.stage in ("", seen.head.stage)
        and wanted.task in ("", (card.pipeline_tag or "").lower())
        and wanted.library in ("", (card.library_name or "").lower())
        and (not wanted.license or wanted.license in (*card.licenses, card.license_name))
        and (not wanted.can or can(seen.rights, wanted.can))
        and _has_words(seen, wanted.q)
    )


def _has_words(seen: Seen, search: str) -> bool:
    """Whether each word stands in the name, or in a tag of the card that the reader may read."""
    places = [catalogue_tags.folded(text) for text in (seen.head.full_name, *seen.card.search_tags)]
    return all(any(word in place for place in places) for word in catalogue.words_of(search))


def _with_numbers(labels: dict[str, str], numbers: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(key, f"{text} ({numbers[key]:,})" if key in numbers else text) for key, text in labels.items()]


def _told(wanted: Wanted, labels: dict[str, str]) -> list[tuple[str, str]]:
    """What the list is narrowed by, in words."""
    told = [(each.name, getattr(wanted, each.name)) for each in fields(Wanted) if each.name != "sort"]
    return [(name, value if name == "q" else labels.get(value, value)) for name, value in told if value]


async def _counted(call: Call, found: Sequence[tuple[Repo, Head]]) -> list[Head]:
    """The rows with how often they were downloaded and liked."""
    numbers = await popularity.of(call.session, [row.id for row, _ in found]) if found else {}
    return [replace(head, popularity=numbers[row.id]) for row, head in found]


ROUTES = [of_kind(guarded(facts.href, repositories, needs=None), kind) for kind, facts in words.KINDS.items()]
