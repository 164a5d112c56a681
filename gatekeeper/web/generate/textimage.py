"""`POST /models/{ns}/{name}`: one image for one prompt, as `InferenceClient(base_url=...)` asks for it."""

import asyncio

from starlette.responses import JSONResponse, Response

from gatekeeper import authz, generation
from gatekeeper.authz import Action
from gatekeeper.errors import Gated, Invalid, TooMany, Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.web.generate import schemas
from gatekeeper.web.generate.ordering import begin, ended, revision_of, start, worker_is_up
from gatekeeper.web.generate.rates import too_many
from gatekeeper.web.guard import Call, guarded, read_body
from gatekeeper.web.hub.doors import gate_refusal

_BODY_LIMIT = 2**20


async def text_to_image(call: Call) -> Response:
    """The image's bytes. Whatever is not an image is an error: a client takes every 200 for a picture."""
    values = {"output_format": _wanted_format(call), **schemas.text_to_image(await _body(call))}
    await worker_is_up(call.gatekeeper)
    try:
        async with call.gatekeeper.db.write() as session:
            if not await call.stands(session):
                await call.recheck(session)
            admitted = await begin(
                call, session, call.repo, call.resource, values, names=schemas.CLIENT_NAMES, is_awaited=True
            )
        start(call, admitted)
        made = await ended(call, admitted.made)
        index = generation.require_images(made)[0]
    except TooMany as error:
        return too_many(call, error)
    except Gated as refusal:
        raise gate_refusal(refusal, call.request.scope) from refusal
    content = await asyncio.to_thread(call.gatekeeper.images.path(made, index).read_bytes)
    address = call.gatekeeper.url(f"/api/generations/{made.id}")
    [receipt, *_] = (made.receipt or {})["images"]
    sld = schemas.sld(receipt)
    return Response(
        content,
        media_type=f"image/{generation.format_of(made)}",
        headers={
            "X-Generation-Id": made.id,
            "X-Receipt-Url": f"{address}/receipt",
            "X-Seed": str(made.settings["seed"] + index),
            "X-Repo-Commit": made.commit_id,
            "X-SLD-Level": sld["level"],
            "X-SLD-Acted": "true" if sld["acted"] else f"false; {sld['reason']}",
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
    """`GET .../health`: 200 when an order for this model could be taken."""
    worker = call.gatekeeper.studio.require_worker()
    try:
        is_ready = (await worker.health()).is_ready
    except Exception as error:  # whatever keeps it from answering, it is not healthy
        raise Unavailable("The inference process does not answer.", next_step="Try again in a minute.") from error
    if not is_ready:
        raise Unavailable("The inference process is starting.", next_step="Try again in a minute.")
    return JSONResponse({"status": "ok"})


async def _body(call: Call) -> bytes:
    if call.request.headers.get("content-type", "application/json").split(";")[0].strip() != "application/json":
        raise Invalid("Only JSON is understood here.", status=422, next_step='Send {"inputs": "a prompt"}.')
    return await read_body(call.request, limit=_BODY_LIMIT)


def _wanted_format(call: Call) -> str:
    """The image type asked for. The client sends its own `Accept: image/png` beside its user's: that one wins."""
    accepted = " ".join(call.request.headers.getlist("accept")).lower()
    return next((name for name in ("webp", "jpeg") if f"image/{name}" in accepted), "png")


ROUTES = [
    guarded("/models/{ns}/{name}", text_to_image, needs=Action.GENERATE, methods=("POST",), mode="own"),
    guarded("/models/{ns}/{name}/info", info, needs=Action.KNOW),
    guarded("/models/{ns}/{name}/health", health, needs=Action.KNOW),
]
