"""Access requests as the Hub's client reviews them: three lists, handle and grant."""

from starlette.responses import JSONResponse, Response

from gatekeeper import access
from gatekeeper.authz import Action
from gatekeeper.web.asking import stage_rule
from gatekeeper.web.guard import Call
from gatekeeper.web.hub import schemas
from gatekeeper.web.hub.doors import api
from gatekeeper.web.hub.paging import page

_STATUSES = ("pending", "accepted", "rejected")


async def listing(call: Call) -> Response:
    """`GET .../user-access-request/{pending,accepted,rejected}`: the requests that stand so, newest first."""
    status = call.request.scope["route_pattern"].rpartition("/")[2]
    found = await access.list_hub(call.session, call.repo, status, after=call.request.query_params.get("cursor"))
    return page(call, [schemas.access_request(row) for row in found.items], next_cursor=found.after)


async def handle(call: Call) -> Response:
    """`POST .../handle`: accept or reject somebody's request, or take a decision back."""
    asked = schemas.parse(schemas.Handle, await call.request.body())
    await access.handle_hub(
        call.session,
        call.repo,
        asked.status,
        by=call.principal,
        user=asked.user,
        request_id=asked.request_id,
        reason=asked.reason,
    )
    return JSONResponse({})


async def grant(call: Call) -> Response:
    """`POST .../grant`: give access to somebody who need not have asked."""
    asked = schemas.parse(schemas.DirectGrant, await call.request.body())
    made = await access.grant_hub(
        call.session,
        call.repo,
        asked.user,
        by=call.principal,
        rule=access.AskRule.of(stage_rule(call)),
    )
    return JSONResponse({"grant_id": made.id if made is not None else None})


_PLACE = "/{kind:kind}/{ns}/{name}/user-access-request"

ROUTES = [
    *(api(f"{_PLACE}/{status}", listing, needs=Action.REVIEW) for status in _STATUSES),
    api(f"{_PLACE}/handle", handle, needs=Action.REVIEW, methods=("POST",)),
    api(f"{_PLACE}/grant", grant, needs=Action.REVIEW, methods=("POST",)),
]
