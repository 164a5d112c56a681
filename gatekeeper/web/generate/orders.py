"""Our job API: order images, watch them being made, fetch them and their receipts, cancel."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.responses import JSONResponse, Response, StreamingResponse

from gatekeeper import generation
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotFound, TooMany
from gatekeeper.generation import Generation
from gatekeeper.repos import Repo
from gatekeeper.web.generate import schemas, sse
from gatekeeper.web.generate.ordering import begin_named, start, worker_is_up
from gatekeeper.web.generate.rates import too_many
from gatekeeper.web.generate.watching import may_watch, own_order
from gatekeeper.web.guard import Call, guarded, read_body

_BODY_LIMIT = 2**20
_PROGRESS = ("queued", "loading", "started", "progress", "retrying")
_PRIVATE = {"Cache-Control": "private, no-store"}


async def submit(call: Call) -> Response:
    """`POST /api/generations`: order images of a model for a prompt; 202 with the order's address."""
    values = schemas.read_object(await read_body(call.request, limit=_BODY_LIMIT))
    model, revision = values.pop("model", None), values.pop("revision", None)
    if not isinstance(model, str) or not isinstance(revision, str | None):
        raise Invalid("`model` must name a repository.", status=422, next_step='Send {"model": "namespace/name"}.')
    await worker_is_up(call.gatekeeper)
    try:
        admitted, repo = await begin_named(call, model, revision, values)
    except TooMany as error:
        return too_many(call, error)
    start(call, admitted)
    made = admitted.made
    return JSONResponse(_shown(call, made, repo), 202, headers={"Location": _address(call, made), **_PRIVATE})


async def listing(call: Call) -> Response:
    """`GET /api/generations`: one's own orders, newest first."""
    rows = await generation.list_own(call.session, call.principal, after=call.request.query_params.get("cursor"))
    return JSONResponse(
        [_shown(call, row, await call.session.get(Repo, row.repo_id)) for row in rows], headers=_PRIVATE
    )


async def show(call: Call) -> Response:
    """`GET /api/generations/{id}`: one of one's own orders, with its images."""
    made = await own_order(call, call.session, call.params["id"])
    return JSONResponse(_shown(call, made, await call.session.get(Repo, made.repo_id)), headers=_PRIVATE)


async def events(call: Call) -> Response:
    """`GET .../events`: what happens to the order, as server-sent events; `Last-Event-ID` goes on where one was."""
    made = await own_order(call, call.session, call.params["id"])
    after = call.request.headers.get("last-event-id", "")
    return StreamingResponse(_events(call, made, after), media_type="text/event-stream", headers=sse.HEADERS)


async def cancel(call: Call) -> Response:
    """`DELETE /api/generations/{id}`: stop an order within a step; what has ended stays as it is."""
    async with call.gatekeeper.db.read() as session:
        made = await own_order(call, session, call.params["id"])
        repo = await session.get(Repo, made.repo_id)
    await call.gatekeeper.studio.cancel(made)
    made = await call.gatekeeper.studio.wait(made)
    return JSONResponse(_shown(call, made, repo), headers=_PRIVATE)


async def delete(call: Call) -> Response:
    """`DELETE .../images`: delete images and prompt now; the receipts, which hold neither, stay."""
    await generation.forget(call.session, call.principal, call.gatekeeper.images, call.params["id"])
    return Response(status_code=204)


async def receipt(call: Call) -> Response:
    """`GET .../receipt`: the signed receipts of the order's images."""
    made = await own_order(call, call.session, call.params["id"])
    if made.receipt is None:
        raise NotFound("The order has not ended yet.", next_step="Ask again when it has.")
    return JSONResponse(made.receipt, headers=_PRIVATE)


async def image(call: Call) -> Response:
    """`GET .../images/{index}`: the image, for whoever ordered it."""
    index = call.params["index"]
    if not index.isascii() or not index.isdigit() or len(index) > 4:
        raise NotFound("There is no such image.", next_step="Images are numbered from 0.")
    await own_order(call, call.session, call.params["id"])
    path = await generation.own_image(
        call.session, call.principal, call.gatekeeper.images, call.params["id"], int(index)
    )
    content = await asyncio.to_thread(path.read_bytes)
    headers = {**_PRIVATE, "Content-Security-Policy": "sandbox"}
    return Response(content, media_type=f"image/{path.suffix[1:]}", headers=headers)


async def _events(call: Call, made: Generation, after: str) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for update in sse.lively(call.gatekeeper.studio.watch(made, after)):
        if update is None:
            yield sse.STILL_HERE
        elif update.type != "preview" or await may_watch(call, made):
            yield f"id: {update.id}\nevent: {update.type}\ndata: {json.dumps(update.data)}\n\n".encode()


def _shown(call: Call, made: Generation, repo: Repo | None) -> schemas.Json:
    shown = schemas.generation(
        made, address=_address(call, made), repository=repo.full_name if repo is not None else ""
    )
    latest = call.gatekeeper.studio.latest(made, *_PROGRESS)
    return shown | {"progress": {"phase": latest.type, **latest.data} if latest else None}


def _address(call: Call, made: Generation) -> str:
    return call.gatekeeper.url(f"/api/generations/{made.id}")


ROUTES = [
    # The model is named in the body, so `submit` decides itself.
    guarded("/api/generations", submit, needs=None, methods=("POST",), mode="own"),
    guarded("/api/generations", listing, needs=Action.USE_ACCOUNT),
    # One order is its token's or its person's: `own_order` decides.
    guarded("/api/generations/{id}", show, needs=None),
    guarded("/api/generations/{id}", cancel, needs=None, methods=("DELETE",), mode="own"),
    guarded("/api/generations/{id}/events", events, needs=None),
    guarded("/api/generations/{id}/receipt", receipt, needs=None),
    guarded("/api/generations/{id}/images", delete, needs=Action.USE_ACCOUNT, methods=("DELETE",)),
    guarded("/api/generations/{id}/images/{index}", image, needs=None),
]
