"""Squashing a branch, and the LFS files of a repository over all its history."""

from starlette.responses import JSONResponse, Response

from gatekeeper import community, releases
from gatekeeper.authz import Action
from gatekeeper.repos import large_files
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import number, page

_PAGE = 100


async def squash(call: Call) -> Response:
    """`POST .../super-squash/{rev}`: replace the history of a branch or a pull request by one commit."""
    asked = schemas.parse(schemas.Squash, await call.request.body())
    branch = call.params["branch"]
    squash_it = community.pulls.squash if branch.startswith(community.pulls.PREFIX) else releases.squash
    await squash_it(
        call.session, call.repo, branch, message=asked.message or f"Super-squash branch {branch}", by=call.principal
    )
    return JSONResponse({})


async def files(call: Call) -> Response:
    """`GET .../lfs-files`: every LFS file that any commit holds, or that was sent and never committed."""
    size = number(call, "limit", default=_PAGE, most=1_000) or _PAGE
    after = call.request.query_params.get("cursor", "")
    rows = await large_files.listing(call.session, call.repo, after=after, limit=size + 1)
    cursor = rows[size - 1].sha256 if len(rows) > size else None
    return page(call, [schemas.large_file(row) for row in rows[:size]], next_cursor=cursor)


async def delete_files(call: Call) -> Response:
    """`POST .../lfs-files/batch`: delete LFS files for good, and take them out of history unless told not to."""
    asked = schemas.parse(schemas.DeleteFiles, await call.request.body()).deletions
    renamed = await releases.delete_files(
        call.session, call.repo, asked.sha, rewrite_history=asked.rewrite_history, by=call.principal
    )
    await community.proposals.rename(call.session, call.repo, renamed)
    return JSONResponse({"success": True})


_REPO = "/{kind:kind}/{ns}/{name}"

ROUTES = [
    api(f"{_REPO}/super-squash/{{branch}}", squash, needs=Action.WRITE, methods=("POST",)),
    # Lists every branch and all of the past, drafts too: for those who may write.
    api(f"{_REPO}/lfs-files", files, needs=Action.WRITE),
    api(f"{_REPO}/lfs-files/batch", delete_files, needs=Action.WRITE, methods=("POST",)),
]
