"""Whether the process lives, whether it can serve, and its figures."""

import asyncio
from collections.abc import Awaitable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gatekeeper import schema
from gatekeeper.errors import NotFound
from gatekeeper.generation import Worker
from gatekeeper.web import figures
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.state import Gatekeeper

_LOOPBACK = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})
_ANSWER_SECONDS = 2


async def healthz(call: Call) -> Response:
    """The process lives."""
    return PlainTextResponse("ok\n")


async def readyz(call: Call) -> Response:
    """Each part by name: database migrated, storage writable, evidence written, inference loaded or switched off."""
    parts = await parts_of(call.gatekeeper)
    is_ready = all(state in ("ok", "off") for state in parts.values())
    return JSONResponse({"ready": is_ready, **parts}, 200 if is_ready else 503)


async def parts_of(gatekeeper: Gatekeeper) -> dict[str, str]:
    """How each part does: `ok`, `off`, or what is wrong with it."""
    worker = gatekeeper.worker
    return {
        "database": await _asked(schema.is_current(gatekeeper.db), "not migrated: run `gatekeeper db upgrade`"),
        "storage": await _asked(gatekeeper.store.is_ready(), "not writable, or not answering"),
        "evidence": "ok" if gatekeeper.evidence.is_healthy else "cannot be written",
        "inference": "off" if worker is None else await _asked(_is_loaded(worker), "loading"),
    }


async def metrics(call: Call) -> Response:
    """Prometheus text, for callers on this machine only."""
    client = call.request.client
    if not call.gatekeeper.settings.metrics or client is None or client.host not in _LOOPBACK:
        raise NotFound("There is nothing here.", next_step="Ask for /metrics from the server's own machine.")
    hub = await figures.of_hub(call.session, call.gatekeeper, await parts_of(call.gatekeeper))
    return Response(generate_latest() + generate_latest(hub), media_type=CONTENT_TYPE_LATEST)


async def _asked(is_well: Awaitable[bool], otherwise: str) -> str:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return "ok" if await is_well else otherwise
    except Exception as error:
        return f"not answering ({type(error).__name__})"


async def _is_loaded(worker: Worker) -> bool:
    return (await worker.health()).is_ready


ROUTES = (
    guarded("/healthz", healthz, needs=None),
    guarded("/readyz", readyz, needs=None),
    guarded("/metrics", metrics, needs=None),
)
