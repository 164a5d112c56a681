"""Where people arrive: the start page and the lists of models, data sets and Spaces."""

from starlette.responses import Response

from gatekeeper import access, authz, releases
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.releases import Stage
from gatekeeper.repos import RepoKind, catalogue
from gatekeeper.web import words
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.kinds import of_kind
from gatekeeper.web.portal.views import Head, render, see_each

_NEWEST = 5
_PAGE = 20
_LONGEST_QUERY = 100
_MOST_ROUNDS = 5  # pages of rows looked through for one page that is shown


async def home(call: Call) -> Response:
    """`GET /`."""
    heads, _ = await _heads(call, RepoKind.MODEL, limit=_NEWEST)
    return render(call, "portal/home.html", repos=heads, waiting=await _waiting(call))


async def repositories(call: Call) -> Response:
    """`GET /models`, `/datasets` and `/spaces`: what the caller may know, newest change first."""
    query = call.request.query_params
    facts = words.KINDS[RepoKind(call.params["kind"])]
    search, stage = query.get("q", "")[:_LONGEST_QUERY], query.get("stage", "")
    heads, after = await _heads(
        call, RepoKind(call.params["kind"]), search=search, stage=stage, after=query.get("after"), limit=_PAGE
    )
    older = call.request.url.include_query_params(after=after).query if after else ""
    return render(
        call,
        "portal/models.html",
        kind=facts,
        repos=heads,
        query=search,
        stage=stage,
        newer=facts.href if query.get("after") else None,
        older=f"{facts.href}?{older}" if older else None,
    )


async def _heads(
    call: Call, kind: RepoKind, *, search: str = "", stage: str = "", after: str | None = None, limit: int
) -> tuple[list[Head], str | None]:
    """Rows of a list and where it goes on. A row that its reader sees at another stage is left out."""
    if stage and stage not in words.STAGES:
        return [], None
    policies, instant = call.gatekeeper.policies, now()
    heads: list[Head] = []
    for _ in range(_MOST_ROUNDS):
        rows = await catalogue.listing(
            call.session,
            kind,
            visible=authz.listing_filter(policies, call.principal, instant),
            search=search,
            after=after,
            where=[releases.released_at(Stage(stage))] if stage else [],
            limit=limit + 1,
        )
        resources = await authz.load_each(call.session, call.principal, rows[:limit])
        for position, seen in enumerate(await see_each(call, list(zip(rows, resources, strict=False)))):
            # INVARIANT: a row is shown only if the single decision agrees with the list's filter.
            if seen.rights[Action.KNOW] and (not stage or seen.head.stage == stage):
                heads.append(seen.head)
                if len(heads) == limit:
                    return heads, rows[position].id if len(rows) > position + 1 else None
        if len(rows) <= limit:
            return heads, None
        after = rows[limit - 1].id
    return heads, after


async def _waiting(call: Call) -> list[dict[str, str]]:
    """What this person can do something about now."""
    if call.principal.person_id is None:
        return []
    own = await access.requests_of(call.session, call.principal.person_id, limit=10)
    return [
        {"text": f"Your request for {row.repo.full_name} waits for a decision", "href": "/requests", "action": "See it"}
        for row in own.rows
        if row.request.state in access.OPEN
    ]


ROUTES = [
    guarded("/", home, needs=None),
    *(of_kind(guarded(facts.href, repositories, needs=None), kind) for kind, facts in words.KINDS.items()),
]
