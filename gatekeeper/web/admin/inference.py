"""Hosted inference for whoever runs the hub: the worker and its models, how it goes, and what safety stopped."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col
from starlette.responses import JSONResponse, Response

from gatekeeper.authz import Action
from gatekeeper.generation import Strike, StrikeState, WorkerError
from gatekeeper.generation.flow import fired_since, flow
from gatekeeper.generation.supervisor import WorkerState
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import now
from gatekeeper.web.admin.scope import runs_hub
from gatekeeper.web.guard import Call, guarded
from gatekeeper.web.portal.views import render

_DAYS = 14
_MOST_CAUSES = 12
_ANSWER_SECONDS = 2
_LEFT_OUT = {"contract_version": True, "readers": {"__all__": {"confusion"}}}


@dataclass(frozen=True)
class Asked:
    """What is known of the worker.

    state   off, starting, paused (it died and is started again soon), stopped, ready, or silent
    health  its own word (`inference.contract.Health`), None where it does not answer
    """

    state: str
    restarts: int = 0
    health: Any = None


async def show(call: Call) -> Response:
    """`GET /admin/inference`."""
    went = await flow(call.session)
    fired = await fired_since(call.session, now() - timedelta(days=_DAYS))
    open_strikes = sa.select(sa.func.count()).where(col(Strike.state) == StrikeState.OPEN)
    return render(
        call,
        "admin/inference.html",
        sees_all=runs_hub(call),
        asked=await ask(call),
        flow=went,
        hours=[(f"{hour:%H}", count) for hour, count in went.by_hour],
        fired=fired[:_MOST_CAUSES],
        more_fired=len(fired) - _MOST_CAUSES,
        days=_DAYS,
        open_strikes=int(await call.session.scalar(open_strikes) or 0),
    )


async def health(call: Call) -> Response:
    """`GET /api/inference`: the worker as it is, with its models, and how the last 24 hours went."""
    went, asked = await flow(call.session), await ask(call)
    body = {
        "state": asked.state,
        "restarts": asked.restarts,
        "worker": asked.health.model_dump(mode="json", exclude=_LEFT_OUT) if asked.health else None,
        "last_24_hours": {
            "orders": {state.value: count for state, count in went.ends.items()},
            "images": went.images,
            "images_by_hour": {instant_text(hour): count for hour, count in went.by_hour},
            "compute_seconds": round(went.compute_seconds, 3),
            "seconds_to_image": {"p50": went.middle, "p95": went.slow},
        },
    }
    return JSONResponse(body, headers={"Cache-Control": "private, no-store"})


async def ask(call: Call) -> Asked:
    """The worker's own word, where it gives one soon."""
    worker, supervisor = call.gatekeeper.worker, call.gatekeeper.supervisor
    if worker is None:
        return Asked("off")
    restarts = supervisor.restarts if supervisor is not None else 0
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return Asked("ready", restarts, await worker.health())
    except (WorkerError, TimeoutError):
        is_known = supervisor is not None and supervisor.state is not WorkerState.READY
        return Asked(supervisor.state.value if supervisor is not None and is_known else "silent", restarts)


ROUTES = [
    guarded("/admin/inference", show, needs=Action.ADMIN_HUB),
    guarded("/api/inference", health, needs=Action.ADMIN_HUB),
]
