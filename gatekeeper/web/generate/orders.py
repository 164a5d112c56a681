"""Our job API: order images, watch them being made, fetch them and their receipts, cancel."""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.responses import JSONResponse, Response, StreamingResponse

from gatekeeper import authz, generation
from gatekeeper.authz import Action
from gatekeeper.errors import Invalid, NotFound, TooMany
from gatekeeper.generation import Generation
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo, RepoKind, catalogue, history
from gatekeeper.web.generate import schemas
from gatekeeper.web.generate.ordering import begin, start, worker_is_up
from gatekeeper.web.generate.textimage import too_many
from gatekeeper.web.guard import Call, guarded, missing_repo, read_body
from gatekeeper.web.principal import authenticate

_BODY_LIMIT = 2**20
_SIGN_OF_LIFE_SECONDS = 15.0
_PRIVATE = {"Cache-Control": "private, no-store"}


async def submit(call: Call) -> Response:
    """`POST /api/generations` `{"model","revision"?,"prompt",...}`: 202 with the order's address."""
    values = schemas.read_object(await read_body(call.request, limit=_BODY_LIMIT))
    model, revision = values.pop("model", None), values.pop("revision", None)
    if not isinstance(model, str) or not isinstance(revision, str | None):
        raise Invalid("`model` must name a repository.", status=422, next_step='Send {"model": "namespace/name"}.')
    await worker_is_up(call.gatekeeper)
    try:
        async with call.gatekeeper.db.write() as session:
            call.principal = await authenticate(call.request, session, call.gatekeeper)
            repo = await catalogue.find(session, RepoKind.MODEL, model)
            if repo is None:
                raise await missing_repo(call, session)
            resource = await authz.load(session, call.principal, repo)
            authz.require(call.gatekeeper.policies, call.principal, Action.KNOW, resource, now())
            if revision is not None:
                commit = await history.resolve_revision(session, repo, revision)
                resource = await authz.load(session, call.principal, repo, commit=commit)
                if not authz.decide(call.gatekeeper.policies, call.principal, Action.KNOW, resource, now()):
                    raise history.unknown(revision)
            made, request, manifest = await begin(call, session, repo, resource, values)
    except TooMany as error:
        return too_many(call, error)
    start(call, made, repo, request, manifest)
    return JSONResponse(_shown(call, made, repo), 202, headers={"Location": _address(call, made), **_PRIVATE})


async def listing(call: Call) -> Response:
    """`GET /api/generations`: one's own orders, newest first."""
    rows = await generation.list_own(call.session, call.principal, after=call.request.query_params.get("cursor"))
    return JSONResponse(
        [_shown(call, row, await call.session.get(Repo, row.repo_id)) for row in rows], headers=_PRIVATE
    )


async def show(call: Call) -> Response:
    """`GET /api/generations/{id}`."""
    made = await generation.own(call.session, call.principal, call.params["id"])
    return JSONResponse(_shown(call, made, await call.session.get(Repo, made.repo_id)), headers=_PRIVATE)


async def events(call: Call) -> Response:
    """`GET .../events`: what happens to the order, as server-sent events, from its beginning to its end."""
    made = await generation.own(call.session, call.principal, call.params["id"])
    last = call.request.headers.get("last-event-id", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 9 else 0
    headers = {**_PRIVATE, "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(call, made, seen=seen), media_type="text/event-stream", headers=headers)


async def cancel(call: Call) -> Response:
    """`DELETE /api/generations/{id}`: stops within a step. What has ended stays as it is."""
    async with call.gatekeeper.db.read() as session:
        made = await generation.own(session, call.principal, call.params["id"])
        repo = await session.get(Repo, made.repo_id)
    await call.gatekeeper.studio.cancel(made)
    made = await call.gatekeeper.studio.wait(made)
    return JSONResponse(_shown(call, made, repo), headers=_PRIVATE)


async def receipt(call: Call) -> Response:
    """`GET .../receipt`: the signed receipts of the order's images."""
    made = await generation.own(call.session, call.principal, call.params["id"])
    if made.receipt is None:
        raise NotFound("The order has not ended yet.", next_step="Ask again when it has.")
    return JSONResponse(made.receipt, headers=_PRIVATE)


async def image(call: Call) -> Response:
    """`GET .../images/{index}`: the image, for whoever ordered it."""
    index = call.params["index"]
    if not index.isascii() or not index.isdigit() or len(index) > 4:
        raise NotFound("There is no such image.", next_step="Images are numbered from 0.")
    path = await generation.own_image(
        call.session, call.principal, call.gatekeeper.images, call.params["id"], int(index)
    )
    png = await asyncio.to_thread(path.read_bytes)
    return Response(png, media_type="image/png", headers={**_PRIVATE, "Content-Security-Policy": "sandbox"})


async def _events(call: Call, made: Generation, *, seen: int) -> AsyncIterator[bytes]:
    updates = aiter(call.gatekeeper.studio.watch(made))
    step = None
    number = 0
    try:
        while True:
            step = step or asyncio.ensure_future(anext(updates))
            done, _ = await asyncio.wait({step}, timeout=_SIGN_OF_LIFE_SECONDS)
            if not done:
                yield b": still here\n\n"  # keeps proxies from closing a quiet connection
                continue
            update = step.result()
            step = None
            number += 1
            if number > seen:
                yield f"id: {number}\nevent: {update.type}\ndata: {json.dumps(update.data)}\n\n".encode()
    except StopAsyncIteration:
        return
    finally:
        if step is not None:
            step.cancel()


def _shown(call: Call, made: Generation, repo: Repo | None) -> schemas.Json:
    return schemas.generation(made, address=_address(call, made), repository=repo.full_name if repo is not None else "")


def _address(call: Call, made: Generation) -> str:
    return call.gatekeeper.url(f"/api/generations/{made.id}")


ROUTES = [
    # The model is named in the body, so `submit` decides itself.
    guarded("/api/generations", submit, needs=None, methods=("POST",), mode="own"),
    guarded("/api/generations", listing, needs=Action.USE_ACCOUNT),
    guarded("/api/generations/{id}", show, needs=Action.USE_ACCOUNT),
    guarded("/api/generations/{id}", cancel, needs=Action.USE_ACCOUNT, methods=("DELETE",), mode="own"),
    guarded("/api/generations/{id}/events", events, needs=Action.USE_ACCOUNT),
    guarded("/api/generations/{id}/receipt", receipt, needs=Action.USE_ACCOUNT),
    guarded("/api/generations/{id}/images/{index}", image, needs=Action.USE_ACCOUNT),
]
