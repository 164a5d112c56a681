"""Proof: what I accepted, and what a repository has released."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, licensing
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.releases.tables import Release
from gatekeeper.repos import Repo
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api

_PRIVATE = {"Cache-Control": "private, no-store"}


async def receipts(call: Call) -> Response:
    """`GET /api/receipts`: everything the caller accepted, newest first."""
    rows = await licensing.acceptances_of(call.session, call.principal.person_id or "")
    found = [schemas.receipt_row(row, await call.session.get(Repo, row.repo_id)) for row in rows]
    return JSONResponse(found, headers=_PRIVATE)


async def receipt(call: Call) -> Response:
    """`GET /api/receipts/{id}`: one signed receipt, with the proof that it is in the log."""
    row = await licensing.own_acceptance(call.session, call.principal, call.params["id"])
    return JSONResponse(await licensing.with_proof(call.session, row.receipt), headers=_PRIVATE)


async def releases(call: Call) -> Response:
    """`GET .../releases`: the releases the caller may know, best first, with what they may do at each."""
    instant, policies = now(), call.gatekeeper.policies
    rows = []
    for known in call.resource.releases:
        resource = await authz.load(call.session, call.principal, call.repo, commit=known.commit, instant=instant)
        rights = authz.capabilities(policies, call.principal, resource, instant)
        release = await call.session.get(Release, known.release_id)
        if release is not None and rights[Action.KNOW]:
            rows.append((release, rights))
    return JSONResponse(schemas.releases(rows), headers=_PRIVATE)


ROUTES = [
    api("/receipts", receipts, needs=Action.USE_ACCOUNT),
    api("/receipts/{id}", receipt, needs=Action.USE_ACCOUNT),
    api("/{kind:kind}/{ns}/{name}/releases", releases, needs=Action.KNOW),
]
