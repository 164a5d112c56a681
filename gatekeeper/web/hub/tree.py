"""What lies in a revision: folders, chosen paths, references, history; and making and deleting branches and tags."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, community
from gatekeeper.authz import Action
from gatekeeper.errors import EntryNotFound, Invalid
from gatekeeper.kit.clock import now
from gatekeeper.repos import history, scanning, xet
from gatekeeper.repos.history import Commit, TreeEntry
from gatekeeper.repos.scanning import FileResult
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import absent, api
from gatekeeper.web.hub.paging import flag, number, page, slice_page

_PAGE = 1_000
_EXPANDED_PAGE = 50
_MOST_PATHS = 2_000
_FORM_LIMIT = 4 * 2**20


async def tree(call: Call) -> Response:
    """`GET .../tree/{rev}[/{path}]`: files and folders of a revision; a commit's listing never changes."""
    path, expand = call.params.get("path", "").strip("/"), flag(call, "expand")
    commit = call.commit or ""
    try:
        rows = await history.tree(call.session, call.repo, commit, path, recursive=flag(call, "recursive"))
    except EntryNotFound as error:
        return absent(call, error)
    size = number(call, "limit", default=_EXPANDED_PAGE if expand else _PAGE, most=_PAGE) or _PAGE
    some, cursor = slice_page(call, rows, size=min(size, _EXPANDED_PAGE) if expand else size)
    last = await _last_commits(call, some) if expand else {}
    scans = await scanning.results_of(call.session, call.repo, some) if expand else {}
    return page(call, await _rows(call, some, last, scans), next_cursor=cursor)


async def paths_info(call: Call) -> Response:
    """`POST .../paths-info/{rev}`: what lies at each of the paths sent; those that do not exist are left out."""
    paths, expand = await _asked_paths(call)
    if len(paths) > _MOST_PATHS:
        raise Invalid(f"At most {_MOST_PATHS} paths can be asked at once.", next_step="Ask in several calls.")
    rows = await history.entries(call.session, call.repo, call.commit or "", paths)
    last = await _last_commits(call, rows) if expand else {}
    scans = await scanning.results_of(call.session, call.repo, rows) if expand else {}
    return JSONResponse(await _rows(call, rows, last, scans))


async def refs(call: Call) -> Response:
    """`GET .../refs`: branches, tags and, where asked, pull requests with the commits they point at."""
    rows = [row for row in await history.refs(call.session, call.repo) if await _may_know(call, row.object_id)]
    return JSONResponse(
        schemas.refs(rows, with_pull_requests=flag(call, "include_prs") or flag(call, "include_pull_requests"))
    )


async def commits(call: Call) -> Response:
    """`GET .../commits/{rev}`: the history of a revision, newest first."""
    size = number(call, "limit", default=50, most=100) or 50
    start = number(call, "cursor", default=0, most=1_000_000)
    rows = await history.commits(call.session, call.repo, call.commit or "", limit=size + 1, offset=start)
    shown = [row for row in rows[:size] if await _may_know(call, row.oid)]
    formatted = "formatted" in call.request.query_params.getlist("expand[]")
    answer = [schemas.commit(row, is_formatted=formatted) for row in shown]
    return page(call, answer, next_cursor=str(start + size) if len(rows) > size else None)


async def create_branch(call: Call) -> Response:
    """`POST .../branch/{rev}`: make a branch of that name at `startingPoint`, or where main is."""
    asked = schemas.parse(schemas.NewBranch, await call.request.body())
    made = await history.create_branch(
        call.session, call.repo, call.params["branch"], start=asked.starting_point, by=call.principal
    )
    await community.proposals.adopt(call.session, call.repo, made)
    return JSONResponse({})


async def delete_branch(call: Call) -> Response:
    """Remove a branch; `main` cannot be removed."""
    await history.delete_branch(call.session, call.repo, call.params["branch"], by=call.principal)
    return JSONResponse({})


async def create_tag(call: Call) -> Response:
    """`POST .../tag/{rev}`: tag that revision with the name in the body."""
    asked = schemas.parse(schemas.NewTag, await call.request.body())
    made = await history.create_tag(call.session, call.repo, asked.tag, target=call.params["target"], by=call.principal)
    await community.proposals.adopt(call.session, call.repo, made)
    return JSONResponse({})


async def delete_tag(call: Call) -> Response:
    """Remove a tag; what it points at stays."""
    await history.delete_tag(call.session, call.repo, call.params["target"], by=call.principal)
    return JSONResponse({})


async def _asked_paths(call: Call) -> tuple[list[str], bool]:
    """Paths, and whether to expand: the Python client sends a form, others JSON."""
    if call.request.headers.get("content-type", "").startswith("application/json"):
        asked = schemas.parse(schemas.PathsInfo, await call.request.body())
        return asked.paths, asked.expand
    form = await call.request.form(max_fields=_MOST_PATHS + 10)
    return [str(value) for value in form.getlist("paths")], str(form.get("expand", "")).lower() == "true"


async def _rows(
    call: Call, entries: Sequence[TreeEntry], last: Mapping[str, Commit], scans: Mapping[str, FileResult]
) -> list[Any]:
    """Entries as clients read them; by a Xet hash they go to Xet without asking for anything else first."""
    known = await xet.hashes_of(call.session, call.repo.id, (entry.lfs.sha256 for entry in entries if entry.lfs))
    return [
        schemas.tree_entry(
            entry,
            last.get(entry.path),
            known.get(entry.lfs.sha256) if entry.lfs else None,
            scans.get(entry.path),
        )
        for entry in entries
    ]


async def _may_know(call: Call, commit: str) -> bool:
    """Whether the caller may know this revision. Only in a staged repository do revisions differ in that."""
    if not call.repo.is_staged:
        return True
    instant = now()
    resource = await authz.load(call.session, call.principal, call.repo, commit=commit, instant=instant)
    return bool(authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, instant))


async def _last_commits(call: Call, rows: Sequence[TreeEntry]) -> dict[str, Commit]:
    """The last commit that touched each entry, by path; none for an entry whose last commit may not be known."""
    found = await history.last_commits(call.session, call.repo, call.commit or "", [entry.path for entry in rows])
    known = {oid for oid in {commit.oid for commit in found.values()} if await _may_know(call, oid)}
    return {path: commit for path, commit in found.items() if commit.oid in known}


_REPO = "/{kind:kind}/{ns}/{name}"

ROUTES = [
    api(f"{_REPO}/tree/{{rev}}", tree, needs=Action.LIST_FILES),
    api(f"{_REPO}/tree/{{rev}}/{{path:rest}}", tree, needs=Action.LIST_FILES),
    # Only asks, so it runs on a snapshot.
    api(
        f"{_REPO}/paths-info/{{rev}}",
        paths_info,
        needs=Action.LIST_FILES,
        methods=("POST",),
        mode="read",
        body_limit=_FORM_LIMIT,
    ),
    api(f"{_REPO}/refs", refs, needs=Action.LIST_FILES),
    api(f"{_REPO}/commits/{{rev}}", commits, needs=Action.LIST_FILES),
    api(f"{_REPO}/branch/{{branch}}", create_branch, needs=Action.WRITE, methods=("POST",)),
    api(f"{_REPO}/branch/{{branch}}", delete_branch, needs=Action.WRITE, methods=("DELETE",)),
    api(f"{_REPO}/tag/{{target}}", create_tag, needs=Action.WRITE, methods=("POST",)),
    api(f"{_REPO}/tag/{{target}}", delete_tag, needs=Action.WRITE, methods=("DELETE",)),
]
