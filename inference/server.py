"""The worker's HTTP service: signed orders in, a stream of events out, over a Unix socket or TCP.

    GET    /health         Health: answers as long as the process lives
    GET    /models         list of ModelState; empty over TCP
    POST   /models         Envelope of LoadOrder; NDJSON of ModelState until ready or failed, with or without a reader
    POST   /orders         Envelope of ImageOrder; NDJSON of Event; a reader who leaves cancels the order
    DELETE /orders/{id}    Envelope of CancelOrder in the body
    POST   /readings       Envelope of ReadOrder; Readings

Nothing is made or told about an order without its signature. Prompts are never logged.
"""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from inference.contract import TERMINAL, ErrorCode, Event, Health, ModelState, Problem, Readings
from inference.desk import Desk, OrderProblem, Seals
from inference.fleet import Fleet
from inference.looking import ReaderError, open_images
from inference.process import end_with, require_private, stay_offline
from inference.release import Release, Runtime
from inference.remembered import Remembered
from inference.room import Room
from inference.safety.plugins import read_plugins
from inference.safety.prompts import BUILT_IN, RulesError, read_rules
from inference.safety.verdict import OWN_CHECK, CheckerError
from inference.settings import Settings, in_force
from inference.ticket import Ticket
from inference.workshop import Workshop, new_queue

log = logging.getLogger("inference")

NDJSON = "application/x-ndjson"

_STATUSES = {
    ErrorCode.MALFORMED: 400,
    ErrorCode.BAD_SIGNATURE: 403,
    ErrorCode.SIGNATURE_EXPIRED: 403,
    ErrorCode.REPLAYED: 403,
    ErrorCode.LIMITS_EXCEEDED: 422,
    ErrorCode.UNKNOWN_MODEL: 404,
    ErrorCode.UNKNOWN_ORDER: 404,
    ErrorCode.UNKNOWN_READER: 404,
    ErrorCode.QUEUE_FULL: 429,
}
OTHER_STATUS = 409
SCREENED_AT_ONCE = 40  # in threads of their own: a prompt check that hangs must not hold up cancelling and loading


def create_app(settings: Settings) -> Starlette:
    """The service, its threads not started. Raises RulesError, CheckerError or ValueError for bad settings."""
    rules = read_rules(settings.rules_file or BUILT_IN)
    plugins = read_plugins(settings.checks_file)
    seals = Seals(settings.order_key())
    workshop = fake_workshop(settings) if settings.fake else real_workshop(settings)
    pinned = frozenset(settings.pinned_models)
    if pinned and settings.work_dir is None:
        log.warning("pinned models will not come back by themselves: set INFERENCE_WORK_DIR, where they are remembered")
    remembered = Remembered(settings.work_dir, settings.order_key(), pinned=pinned)
    fleet = Fleet(
        workshop.build, work_dir=settings.work_dir, room=workshop.room, pinned=pinned, on_ready=remembered.keep
    )
    workshop.release.image_checks = plugins.image_checks
    desk = Desk(fleet=fleet, lanes=workshop.lanes, limits=settings.limits, rules=rules, seals=seals, plugins=plugins)
    fleet.is_in_use = desk.is_in_use

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        for lane in workshop.lanes.values():
            lane.start()
        log.info("worker is up: %s", workshop.runtime)
        coming = asyncio.create_task(warm_up(fleet, remembered))
        yield
        coming.cancel()
        for lane in workshop.lanes.values():
            await run_in_threadpool(lane.close)
        await run_in_threadpool(workshop.release.close)

    routes = [
        Route("/health", health),
        Route("/models", models),
        Route("/models", load, methods=["POST"]),
        Route("/orders", order, methods=["POST"]),
        Route("/orders/{order_id}", cancel, methods=["DELETE"]),
        Route("/readings", readings, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={OrderProblem: on_problem})
    app.state.desk, app.state.workshop, app.state.settings = desk, workshop, settings
    app.state.screening = anyio.CapacityLimiter(SCREENED_AT_ONCE)
    app.state.settings_in_force = in_force(settings) if settings.socket is not None else ()
    return app


async def warm_up(fleet: Fleet, remembered: Remembered) -> None:
    """Load the pinned models, one after another; `GET /health` shows how far each is."""
    for manifest in remembered.manifests():
        async for state in fleet.load(manifest):
            if state.error is ErrorCode.MODEL_REFUSED:  # what it lacks now, the order that comes first may bring
                remembered.forget(manifest)


async def health(request: Request) -> Response:
    """The worker as it is."""
    desk: Desk = request.app.state.desk
    workshop: Workshop = request.app.state.workshop
    answer = Health(
        is_ready=True,
        is_fake=workshop.runtime.is_fake,
        pid=os.getpid(),
        device=workshop.runtime.device,
        dtype=workshop.dtype,
        threads=workshop.threads,
        torch_version=workshop.runtime.torch_version,
        diffusers_version=workshop.runtime.diffusers_version,
        limits=desk.limits,
        rules=desk.rules.facts(),
        models=visible_models(request),
        waiting_orders=desk.waiting,
        running_orders=desk.running,
        image_checks=tuple(desk.plugins.image_checks),
        prompt_checks=tuple(desk.plugins.prompt_checks),
        checks={OWN_CHECK: workshop.checkers_sha256} | dict(desk.plugins.digests),
        memory_bytes=workshop.room.total_bytes,
        models_bytes=workshop.room.models_bytes,
        readers=tuple(reader.facts for reader in workshop.readers.values()),
        settings=request.app.state.settings_in_force,
    )
    return JSONResponse(answer.model_dump(mode="json"))


async def models(request: Request) -> Response:
    """Every model that is here or was tried."""
    return JSONResponse([state.model_dump(mode="json") for state in visible_models(request)])


def visible_models(request: Request) -> tuple[ModelState, ...]:
    """What is here or was tried; nothing over TCP, where nobody may learn a private repository's name unsigned."""
    desk: Desk = request.app.state.desk
    settings: Settings = request.app.state.settings
    return desk.fleet.states() if settings.socket is not None else ()


async def load(request: Request) -> Response:
    """Load a model and tell how far it is."""
    desk: Desk = request.app.state.desk
    body = await read_body(request)
    wanted = await run_in_threadpool(desk.read_load, body)

    async def lines() -> AsyncIterator[bytes]:
        async for state in desk.fleet.load(wanted.manifest):
            yield state.model_dump_json().encode() + b"\n"

    return StreamingResponse(lines(), media_type=NDJSON)


async def order(request: Request) -> Response:
    """Carry out an order and tell what happens, until it ends or the reader leaves."""
    desk: Desk = request.app.state.desk
    body = await read_body(request)
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Event | None] = asyncio.Queue()

    def emit(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    def accept() -> Ticket:
        return desk.submit(desk.read_order(body), emit)

    ticket = await anyio.to_thread.run_sync(accept, limiter=request.app.state.screening)

    async def lines() -> AsyncIterator[bytes]:
        # The reader may leave while no event comes: a step can take long, and a queue longer.
        left = asyncio.create_task(_tell_when_left(request, events))
        try:
            while (event := await events.get()) is not None:
                yield event.model_dump_json().encode() + b"\n"
                if isinstance(event, TERMINAL):
                    return
        finally:
            left.cancel()
            desk.abandon(ticket)

    return StreamingResponse(lines(), media_type=NDJSON)


async def cancel(request: Request) -> Response:
    """Stop an order."""
    desk: Desk = request.app.state.desk
    body = await read_body(request)
    await run_in_threadpool(desk.cancel, body, request.path_params["order_id"])
    return Response(status_code=204)


async def readings(request: Request) -> Response:
    """Say what images show."""
    desk: Desk = request.app.state.desk
    workshop: Workshop = request.app.state.workshop
    body = await read_body(request)

    def read() -> Readings:
        wanted = desk.read_reading(body)
        reader = workshop.readers.get(wanted.reader)
        if reader is None:
            raise OrderProblem(ErrorCode.UNKNOWN_READER, "No reader of this digest is attached to this worker.")
        try:
            images = open_images(wanted.pngs(), most_side=desk.limits.max_side)
        except ValueError as error:
            raise OrderProblem(ErrorCode.MALFORMED, f"These are not images of this worker: {error}.") from error
        return Readings(reader=wanted.reader, readings=tuple(reader.read(images)))

    return JSONResponse((await run_in_threadpool(read)).model_dump(mode="json"))


async def _tell_when_left(request: Request, events: asyncio.Queue[Event | None]) -> None:
    """None for an event when the connection's other side is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    events.put_nowait(None)


async def read_body(request: Request) -> bytes:
    """The request's body up to the limit. Raises OrderProblem beyond it."""
    settings: Settings = request.app.state.settings
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_body_bytes:
            raise OrderProblem(ErrorCode.MALFORMED, f"The request is larger than {settings.max_body_bytes} bytes.")
    return bytes(body)


async def on_problem(request: Request, error: Exception) -> Response:
    """A refused request as the contract's Problem."""
    assert isinstance(error, OrderProblem)
    status = _STATUSES.get(error.code, OTHER_STATUS)
    problem = Problem(code=error.code, message=error.message, problems=error.problems)
    return JSONResponse(problem.model_dump(mode="json"), status_code=status)


def real_workshop(settings: Settings) -> Workshop:
    """The models' side of the worker."""
    log.info("importing torch and diffusers; this takes some seconds")
    # Imported here and not at the top: the fake, and `--help`, must not wait for torch.
    from inference.machine import make_workshop

    return make_workshop(settings)


def fake_workshop(settings: Settings) -> Workshop:
    """The fake's side. Only INFERENCE_FAKE=1 leads here."""
    from inference.fake import FakeLane, FakeReader, build_fake

    log.warning("INFERENCE_FAKE is set: pictures are made up and marked")
    runtime = Runtime(torch_version="none", diffusers_version="none", device="fake", is_fake=True)
    release = Release(runtime)
    lane = FakeLane(new_queue(settings), release)
    reader = FakeReader()
    return Workshop(
        build=build_fake,
        lanes={"step": lane},
        release=release,
        runtime=runtime,
        dtype="float32",
        threads=1,
        room=Room(sys.maxsize),
        readers={reader.facts.sha256: reader},
    )


def main() -> None:
    """Run the worker until it is told to stop."""
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = Settings()
        logging.getLogger().setLevel(settings.log_level)
        if settings.parent_pid is not None:
            end_with(settings.parent_pid)
        stay_offline(settings.threads)
        if settings.socket is not None:
            require_private(settings.socket)
        app = create_app(settings)
    except (ValueError, OSError, RulesError, CheckerError, ReaderError) as error:
        sys.exit(f"gatekeeper-inference: {error}")
    uvicorn.run(
        app,
        uds=str(settings.socket) if settings.socket is not None else None,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
