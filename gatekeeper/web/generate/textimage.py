"""`POST /models/{ns}/{name}`: one image for one prompt, as `InferenceClient(base_url=...)` asks for it."""

import asyncio

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, generation
from gatekeeper.authz import Action
from gatekeeper.errors import Gated, Invalid, TooMany, Unavailable
from gatekeeper.generation import Generation
from gatekeeper.kit.clock import now
from gatekeeper.web.generate import schemas
from gatekeeper.web.generate.ordering import begin, revision_of, start, worker_is_up
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.hub.doors import gate_refusal
from gatekeeper.web.respond import error_json, has_credential

_BODY_LIMIT = 2**20
_DAY_SECONDS = 86_400


async def text_to_image(call: Call) -> Response:
    """The image's bytes. Whatever is not an image is an error: a client takes every 200 for a picture."""
    values = schemas.text_to_image(await _body(call))
    await worker_is_up(call.gatekeeper)
    try:
        async with call.gatekeeper.db.write() as session:
            await call.recheck(session)
            made, request, manifest = await begin(
                call, session, call.repo, call.resource, values, names=schemas.CLIENT_NAMES
            )
        start(call, made, call.repo, request, manifest)
        made = await _ended(call, made)
        index = generation.require_images(made)[0]
    except TooMany as error:
        return too_many(call, error)
    except Gated as refusal:
        raise gate_refusal(refusal, call.request.scope) from refusal
    png = await asyncio.to_thread(call.gatekeeper.images.path(made.id, index).read_bytes)
    address = call.gatekeeper.url(f"/api/generations/{made.id}")
    return Response(
        png,
        media_type="image/png",
        headers={
            "X-Generation-Id": made.id,
            "X-Receipt-Url": f"{address}/receipt",
            "X-Seed": str(made.settings["seed"] + index),
            "X-Repo-Commit": made.commit_id,
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def info(call: Call) -> Response:
    """`GET .../info`: what an endpoint says about itself, with the revision that this caller would be served."""
    known = authz.require(call.gatekeeper.policies, call.principal, Action.KNOW, call.resource, now())
    commit = await revision_of(call.session, call.repo, known, call.resource)
    return JSONResponse(
        {
            "model_id": call.repo.full_name,
            "model_sha": commit,
            "model_task": "text-to-image",
            "version": "1",
            "seed_range": [0, generation.MAX_SEED],
        }
    )


async def health(call: Call) -> Response:
    """`GET .../health`: 200 when an order could be taken."""
    worker = call.gatekeeper.studio.require_worker()
    try:
        is_ready = (await worker.health()).is_ready
    except Exception as error:  # whatever keeps it from answering, it is not healthy
        raise Unavailable("The inference process does not answer.", next_step="Try again in a minute.") from error
    if not is_ready:
        raise Unavailable("The inference process is starting.", next_step="Try again in a minute.")
    return JSONResponse({"status": "ok"})


def too_many(call: Call, error: TooMany) -> Response:
    """429 with the headers from which clients tell their user how long to wait."""
    seconds = int(error.details.get("retry_after_seconds", 60))
    response = error_json(error, has_credential=has_credential(call.request))
    response.headers["RateLimit"] = f'"images";r=0;t={seconds}'
    response.headers["RateLimit-Policy"] = (
        f'"fixed window";"images";q={int(error.details.get("limit", 1))};w={_DAY_SECONDS}'
    )
    return response


async def _body(call: Call) -> bytes:
    if call.request.headers.get("content-type", "application/json").split(";")[0].strip() != "application/json":
        raise Invalid("Only JSON is understood here.", status=422, next_step='Send {"inputs": "a prompt"}.')
    return await read_body(call.request, limit=_BODY_LIMIT)


async def _ended(call: Call, made: Generation) -> Generation:
    """The order when it has ended; it is cancelled when its caller goes away, for nobody would see the image."""
    waiting = asyncio.ensure_future(call.gatekeeper.studio.wait(made))
    leaving = asyncio.ensure_future(_gone(call))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await call.gatekeeper.studio.cancel(made)
        return await waiting
    finally:
        leaving.cancel()
        waiting.cancel()


async def _gone(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


ROUTES = [
    guarded("/models/{ns}/{name}", text_to_image, needs=Action.GENERATE, methods=("POST",), mode="own"),
    guarded("/models/{ns}/{name}/info", info, needs=Action.KNOW),
    guarded("/models/{ns}/{name}/health", health, needs=Action.KNOW),
]
