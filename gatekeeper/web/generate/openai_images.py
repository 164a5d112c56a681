"""OpenAI's images API: `POST /v1/images/generations`, whole or as a stream with checked previews on the way."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from gatekeeper import generation
from gatekeeper.errors import GatekeeperError
from gatekeeper.generation import Generation, Update
from gatekeeper.web.generate import openai_schemas, schemas, sse
from gatekeeper.web.generate.openai_errors import for_openai
from gatekeeper.web.generate.openai_schemas import ImagesRequest
from gatekeeper.web.generate.ordering import abandon, begin_named, ended, start, worker_is_up
from gatekeeper.web.generate.watching import may_watch
from gatekeeper.web.guard import Call, guarded, read_body

_BODY_LIMIT = 2**20
_PRIVATE = {"Cache-Control": "private, no-store"}
_farewells: set[asyncio.Task[None]] = set()  # cancelling an order outlives the connection that was closed


async def generate(call: Call) -> Response:
    """Make images as OpenAI's client asks; `model` is `ns/name[@revision]`, `stream` tells it as it happens."""
    asked = openai_schemas.images_request(await read_body(call.request, limit=_BODY_LIMIT))
    await worker_is_up(call.gatekeeper)
    admitted, repo = await begin_named(
        call,
        asked.model,
        asked.revision,
        asked.values,
        names=openai_schemas.NAMES,
        usual_steps=asked.usual_steps,
        is_awaited=True,
    )
    start(call, admitted)
    made = admitted.made
    if asked.is_stream:
        return await _streamed(call, asked, made, repo.full_name)
    made = await ended(call, made)
    generation.require_images(made)
    files = await _files(call, made)
    return JSONResponse(openai_schemas.answer(asked, _shown(call, made, repo.full_name), files), headers=_PRIVATE)


async def _streamed(call: Call, asked: ImagesRequest, made: Generation, model: str) -> Response:
    """A stream, unless the order ends before it has begun: such a refusal is an error like others."""
    updates = aiter(call.gatekeeper.studio.watch(made))
    first = await anext(updates, None)
    if first is None or (first.is_end and first.type != "done"):
        generation.require_images(await call.gatekeeper.studio.wait(made))
    return StreamingResponse(
        _events(call, asked, made, model, first, updates), media_type="text/event-stream", headers=sse.HEADERS
    )


async def _events(
    call: Call,
    asked: ImagesRequest,
    made: Generation,
    model: str,
    first: Update | None,
    updates: AsyncIterator[Update],
) -> AsyncIterator[bytes]:
    has_ended = False
    try:
        number = 0
        if first is not None and first.type == "preview" and await may_watch(call, made):
            yield _event(openai_schemas.partial(asked, made, first.data, number))
            number += 1
        async for update in sse.lively(updates):
            if update is None:
                yield sse.STILL_HERE
            elif update.type == "preview" and await may_watch(call, made):
                yield _event(openai_schemas.partial(asked, made, update.data, number))
                number += 1
        made = await call.gatekeeper.studio.wait(made)
        has_ended = True
        try:
            generation.require_images(made)
        except GatekeeperError as error:
            yield _event(openai_schemas.failed(error))
            return
        shown, files = _shown(call, made, model), await _files(call, made)
        for image in shown["images"]:
            yield _event(openai_schemas.completed(asked, shown, image, files))
    finally:
        if not has_ended:
            task = asyncio.ensure_future(_farewell(call, made))
            _farewells.add(task)
            task.add_done_callback(_farewells.discard)


async def _farewell(call: Call, made: Generation) -> None:
    with contextlib.suppress(GatekeeperError):
        await abandon(call, made)


async def _files(call: Call, made: Generation) -> dict[int, bytes]:
    paths = {index: call.gatekeeper.images.path(made, index) for index in generation.require_images(made)}
    return {index: await asyncio.to_thread(path.read_bytes) for index, path in paths.items()}


def _shown(call: Call, made: Generation, model: str) -> schemas.Json:
    address = call.gatekeeper.url(f"/api/generations/{made.id}")
    return schemas.generation(made, address=address, repository=model) | {
        "created": int(made.started_at.timestamp()),
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


ROUTES = [
    # The model is named in the body, so `generate` decides itself.
    for_openai(guarded("/v1/images/generations", generate, needs=None, methods=("POST",), mode="own")),
]
