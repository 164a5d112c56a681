"""Composition: one web process out of settings. Everything is made here, and nothing else knows it all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from gatekeeper import authz, evaluation, ledger, licensing, schema, tokens
from gatekeeper.accounts import breached, oidc
from gatekeeper.db import Database
from gatekeeper.errors import NotFound
from gatekeeper.evaluation.pictures import PictureFolder
from gatekeeper.generation import Certifier, ImageFolder, Studio, Supervisor, Worker
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.ledger import EvidenceWriter
from gatekeeper.notices import Rules
from gatekeeper.provenance import Notary
from gatekeeper.repos.storage import open_store
from gatekeeper.settings import Settings
from gatekeeper.web import admin, generate, hub, oauth, portal
from gatekeeper.web.health import ROUTES as HEALTH
from gatekeeper.web.hot import HotCache
from gatekeeper.web.hub.evidence import keeper
from gatekeeper.web.issuers import Issuers
from gatekeeper.web.limits import SHARE_SECONDS, RateLimits
from gatekeeper.web.outer import Outer
from gatekeeper.web.robots import ROUTES as ROBOTS
from gatekeeper.web.routing import RawRoute, RawRouter
from gatekeeper.web.state import Gatekeeper, Keys
from gatekeeper.web.templating import static_addresses
from gatekeeper.web.version import access_version
from gatekeeper.worker import background, every

_log = structlog.get_logger("gatekeeper.app")
_BRIEFLY = "public, max-age=300"


def routes() -> tuple[RawRoute, ...]:
    """Every route of the house, in the order they are tried."""
    return (
        RawRoute("/static/{path:rest}", frozenset({"GET"}), _static(), name="static"),
        *HEALTH,
        *ROBOTS,
        *hub.ROUTES,
        *generate.ROUTES,
        *oauth.ROUTES,
        *admin.ROUTES,
        *portal.ROUTES,
    )


def build(settings: Settings) -> ASGIApp:
    """The application. It does nothing until its lifespan starts."""
    gatekeeper = assemble(settings)
    limits = RateLimits(settings.api_calls, key=gatekeeper.keys.privacy, per_token=settings.api_calls_per_token)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await schema.require_current(gatekeeper.db)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(close, gatekeeper)
            if gatekeeper.supervisor is not None:
                await gatekeeper.supervisor.start()
                stack.push_async_callback(gatekeeper.supervisor.stop)
            with ledger.working("job", policy=lambda: gatekeeper.policies.sha256):  # and so it is in all these tasks
                await _begin(gatekeeper)
                tasks = [asyncio.create_task(task) for task in background(gatekeeper)]
            stack.push_async_callback(gatekeeper.studio.close)
            tasks.append(asyncio.create_task(every(SHARE_SECONDS, lambda: limits.share(gatekeeper.db))))
            stack.push_async_callback(_cancel, tasks)
            yield

    app = Starlette(lifespan=lifespan)
    app.state.gatekeeper = gatekeeper
    app.state.routes = routes()
    # Without Starlette's own error layer: it would answer a plain 500 before `Outer` sees the error.
    app.middleware_stack = app.router
    app.router.redirect_slashes = False
    app.router.default = RawRouter(app.state.routes, otherwise=_nothing_here)
    return Outer(
        app,
        error_page=portal.error_page,
        is_https=settings.is_https,
        cache=gatekeeper.cache,
        limits=limits,
    )


async def _begin(gatekeeper: Gatekeeper) -> None:
    """Take up what the last process left, and the folder of policies with its license texts."""
    async with gatekeeper.db.write() as session:
        await authz.follow_folder(session, gatekeeper.policies)
        policies = await gatekeeper.in_force.refresh(session)
        assert policies.directory is not None
        await licensing.import_catalogue(session, policies.directory / "licenses")
        await evaluation.runs.recover(session)


def assemble(settings: Settings) -> Gatekeeper:
    """The parts a door needs, not yet started: used by the server, the command line and tests alike."""
    for directory in (settings.data_dir, settings.keys_dir, settings.run_dir):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    breached.use(settings.breached_passwords_file)
    keys = Keys.load(settings.keys_dir)
    database = Database(settings.database, personal=lambda: keys.sealing)
    store = open_store(settings)
    supervisor = worker = None
    match settings.inference_url:
        case "off":
            pass
        case "":
            supervisor = Supervisor(settings.run_dir, store_dir=store.copies, key=keys.inference)
            worker = supervisor.worker
        case url:
            file = settings.inference_key_file
            worker = Worker(url, key=file.read_bytes() if file else keys.inference)
    version = access_version(database)
    evidence = EvidenceWriter(database)
    images = ImageFolder(settings.data_dir.resolve() / "images")
    in_force = authz.InForce(authz.Policies.load(_policies_dir(settings)), settings.policies_shelf)
    notary = open_notary(settings)
    certifier = Certifier(notary)
    gatekeeper = Gatekeeper(
        settings=settings,
        db=database,
        keys=keys,
        store=store,
        in_force=in_force,
        evidence=evidence,
        version=version,
        tokens_at_once=tokens.AtOnce(database, key=keys.tokens),
        cache=HotCache(version, keep=keeper(evidence, is_durable=settings.download_evidence == "durable")),
        images=images,
        pictures=PictureFolder(settings.data_dir.resolve() / "evaluations"),
        issuers=Issuers(Rules(settings.issuer_networks)),
        notary=notary,
        studio=Studio(database, worker, images, store, key=keys.signing, privacy_key=keys.privacy, certifier=certifier),
        remotes=oidc.remotes(settings),
        worker=worker,
        supervisor=supervisor,
    )
    gatekeeper.policies.alarms.append(gatekeeper.alarms.raised)
    gatekeeper.studio.recheck = generate.still_allowed(gatekeeper)
    return gatekeeper


def open_notary(settings: Settings) -> Notary:
    """What signs images here. Raises BrokenCertificate."""
    return Notary.load(
        settings.keys_dir / "provenance",
        owner=urlsplit(settings.public_url).netloc,
        certificate=settings.provenance_certificate_file,
        key=settings.provenance_key_file,
    )


def _policies_dir(settings: Settings) -> Path:
    return settings.policies_dir or bundled_dir("policies")


async def close(gatekeeper: Gatekeeper) -> None:
    """Let go of everything `assemble` opened, evidence first."""
    await asyncio.to_thread(gatekeeper.evidence.close)
    if gatekeeper.worker is not None:
        await gatekeeper.worker.close()
    gatekeeper.version.close()
    gatekeeper.tokens_at_once.close()
    await gatekeeper.db.close()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _static() -> ASGIApp:
    files, hashed = StaticFiles(packages=[("gatekeeper.web", "static")]), static_addresses()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path_params"]["path"]
        try:
            response: Response = await files.get_response(path, scope)
        except HTTPException:
            await _nothing_here(scope, receive, send)
            return
        # An address with the file's digest never means anything else.
        is_hashed = f"/static/{path}?{scope['query_string'].decode('latin-1')}" in hashed
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_hashed else _BRIEFLY
        await response(scope, receive, send)

    return serve


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound(
        f"There is nothing at {Request(scope).url.path[:200]}.", next_step="Start at the home page, or look at /docs."
    )
