"""Where people arrive: the start page and the list of models."""

from starlette.responses import Response

from gatekeeper import access, authz
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.repos import RepoKind, catalogue
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import Head, render, see

_NEWEST = 5
_PAGE = 20
_LONGEST_QUERY = 100


async def home(call: Call) -> Response:
    """`GET /`."""
    heads, _ = await _models(call, limit=_NEWEST)
    return render(call, "portal/home.html", repos=heads, waiting=await _waiting(call))


async def models(call: Call) -> Response:
    """`GET /models`: what the caller may know, newest change first."""
    query = call.request.query_params
    search, stage = query.get("q", "")[:_LONGEST_QUERY], query.get("stage", "")
    heads, after = await _models(call, search=search, after=query.get("after"), limit=_PAGE)
    shown = [head for head in heads if not stage or head.stage == stage]
    older = call.request.url.include_query_params(after=after).query if after else ""
    return render(
        call,
        "portal/models.html",
        repos=shown,
        query=search,
        stage=stage,
        newer="/models" if query.get("after") else None,
        older=f"/models?{older}" if older else None,
    )


async def _models(
    call: Call, *, search: str = "", after: str | None = None, limit: int
) -> tuple[list[Head], str | None]:
    instant = now()
    rows = await catalogue.listing(
        call.session,
        RepoKind.MODEL,
        visible=authz.listing_filter(call.gatekeeper.policies, call.principal, instant),
        search=search,
        after=after,
        limit=limit + 1,
    )
    heads = []
    for repo in rows[:limit]:
        resource = await authz.load(call.session, call.principal, repo, instant=instant)
        seen = await see(call, repo, resource, with_tabs=False)
        # INVARIANT: a row is shown only if the single decision agrees with the list's filter.
        if seen.rights[Action.KNOW]:
            heads.append(seen.head)
    return heads, rows[limit - 1].id if len(rows) > limit else None


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
    guarded("/models", models, needs=None),
]
