"""Our job API: order images, watch them being made, fetch them and their receipts, cancel."""

import asyncio
import json
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response, StreamingResponse

from gatekeeper import authz, generation, repos
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action
from gatekeeper.errors import GatekeeperError, Invalid, NotFound, TooMany
from gatekeeper.generation import Generation
from gatekeeper.kit.clock import now
from gatekeeper.repos import Repo
from gatekeeper.tokens.inference import is_for_inference
from gatekeeper.web.generate import schemas, sse
from gatekeeper.web.generate.ordering import begin_named, start, worker_is_up
from gatekeeper.web.generate.rates import too_many
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.principal import authenticate

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
    made = await _mine(call, call.session)
    return JSONResponse(_shown(call, made, await call.session.get(Repo, made.repo_id)), headers=_PRIVATE)


async def events(call: Call) -> Response:
    """`GET .../events`: what happens to the order, as server-sent events; `Last-Event-ID` goes on where one was."""
    made = await _mine(call, call.session)
    after = call.request.headers.get("last-event-id", "")
    return StreamingResponse(_events(call, made, after), media_type="text/event-stream", headers=sse.HEADERS)


async def cancel(call: Call) -> Response:
    """`DELETE /api/generations/{id}`: stop an order within a step; what has ended stays as it is."""
    async with call.gatekeeper.db.read() as session:
        made = await _mine(call, session)
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
    made = await _mine(call, call.session)
    if made.receipt is None:
        raise NotFound("The order has not ended yet.", next_step="Ask again when it has.")
    return JSONResponse(made.receipt, headers=_PRIVATE)


async def image(call: Call) -> Response:
    """`GET .../images/{index}`: the image, for whoever ordered it."""
    index = call.params["index"]
    if not index.isascii() or not index.isdigit() or len(index) > 4:
        raise NotFound("There is no such image.", next_step="Images are numbered from 0.")
    await _mine(call, call.session)
    path = await generation.own_image(
        call.session, call.principal, call.gatekeeper.images, call.params["id"], int(index)
    )
    content = await asyncio.to_thread(path.read_bytes)
    headers = {**_PRIVATE, "Content-Security-Policy": "sandbox"}
    return Response(content, media_type=f"image/{path.suffix[1:]}", headers=headers)


async def _mine(call: Call, session: AsyncSession) -> Generation:
    """The order of the path: for the token that ordered it as long as it may generate there, else for one's account.

    So a token for one model may fetch what it ordered and sees no other order. One for inference alone may fetch every
    order of its person with its models, for an order may last longer than the token that made it.
    """
    policies, principal, instant = call.gatekeeper.policies, call.principal, now()
    made = await session.get(Generation, call.params["id"])
    if made is not None and await _is_tokens(session, principal, made):
        repo = await repos.by_id(session, made.repo_id)
        if repo is not None:
            resource = await authz.load(session, principal, repo, commit=made.commit_id)
            if authz.decide(policies, principal, Action.GENERATE, resource, instant):
                return await generation.own(session, principal, made.id)
    authz.require_global(policies, principal, Action.USE_ACCOUNT, instant)
    return await generation.own(session, principal, call.params["id"])


async def _is_tokens(session: AsyncSession, principal: Principal, made: Generation) -> bool:
    """Whether it was ordered by the caller's token, or by the same person and the token is for inference alone."""
    if principal.token_id is None or made.person_id != principal.person_id:
        return False
    return made.token_id == principal.token_id or await is_for_inference(session, principal.token_id)


async def _events(call: Call, made: Generation, after: str) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    async for update in sse.lively(call.gatekeeper.studio.watch(made, after)):
        if update is None:
            yield sse.STILL_HERE
        elif update.type != "preview" or await _may_watch(call):
            yield f"id: {update.id}\nevent: {update.type}\ndata: {json.dumps(update.data)}\n\n".encode()


async def _may_watch(call: Call) -> bool:
    """Whether the watcher, too, may still see what is made: their own token may have ended since they began."""
    async with call.gatekeeper.db.read() as session:
        if await call.stands(session):
            return True
        try:
            call.principal = await authenticate(call.request, session, call.gatekeeper)
            await _mine(call, session)
        except GatekeeperError:
            return False
    return True


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
    # One order is its token's or its person's: `_mine` decides.
    guarded("/api/generations/{id}", show, needs=None),
    guarded("/api/generations/{id}", cancel, needs=None, methods=("DELETE",), mode="own"),
    guarded("/api/generations/{id}/events", events, needs=None),
    guarded("/api/generations/{id}/receipt", receipt, needs=None),
    guarded("/api/generations/{id}/images", delete, needs=Action.USE_ACCOUNT, methods=("DELETE",)),
    guarded("/api/generations/{id}/images/{index}", image, needs=None),
]
