"""Proof: what I accepted, and what a repository has released."""

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, licensing, privacy
from gatekeeper.authz import Action
from gatekeeper.kit.clock import now
from gatekeeper.releases import list_for
from gatekeeper.repos import catalogue
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api

_PRIVATE = {"Cache-Control": "private, no-store"}


async def receipts(call: Call) -> Response:
    """`GET /api/receipts`: everything the caller accepted, newest first."""
    rows = await licensing.acceptances_of(call.session, call.principal.person_id or "")
    repos = {repo.id: repo for repo in await catalogue.by_ids(call.session, {row.repo_id for row in rows})}
    is_held = await privacy.hold_on(call.session, call.principal.person_id or "") is not None
    found = [schemas.receipt_row(row, repos.get(row.repo_id), is_held=is_held) for row in rows]
    return JSONResponse(found, headers=_PRIVATE)


async def receipt(call: Call) -> Response:
    """`GET /api/receipts/{id}`: one signed receipt, with the proof that it is in the log."""
    row = await licensing.own_acceptance(call.session, call.principal, call.params["id"])
    return JSONResponse(await licensing.with_proof(call.session, row.receipt), headers=_PRIVATE)


async def withdraw(call: Call) -> Response:
    """`DELETE /api/receipts/{id}`: withdraws from that repository's terms, every version of them that was accepted."""
    row = await licensing.own_acceptance(call.session, call.principal, call.params["id"])
    await licensing.withdraw_acceptance(call.session, call.principal, row)
    return Response(status_code=204)


async def releases(call: Call) -> Response:
    """`GET .../releases`: the releases the caller may know, best first, with what they may do at each."""
    instant, policies = now(), call.gatekeeper.policies
    rows = []
    found = {release.id: release for release in await list_for(call.session, call.repo)}
    for known in call.resource.releases:
        rights = authz.Capabilities(policies, call.principal, authz.at_release(call.resource, known), instant)
        release = found.get(known.release_id or "")
        if release is not None and rights[Action.KNOW]:
            rows.append((release, rights))
    return JSONResponse(schemas.releases(rows), headers=_PRIVATE)


ROUTES = [
    api("/receipts", receipts, needs=Action.USE_ACCOUNT),
    api("/receipts/{id}", receipt, needs=Action.USE_ACCOUNT),
    api("/receipts/{id}", withdraw, needs=Action.WITHDRAW_TERMS, methods=("DELETE",), is_dangerous=True),
    api("/{kind:kind}/{ns}/{name}/releases", releases, needs=Action.KNOW),
]
