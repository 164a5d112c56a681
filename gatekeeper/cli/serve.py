"""`serve`: the web process and, beside it, the inference process that it supervises."""

import os
import socket
from functools import partial

import click
import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gatekeeper import logs
from gatekeeper.app import build
from gatekeeper.cli.protocol import LONGEST_HEAD, BoundedHead
from gatekeeper.cli.run import Failure, House, command, pass_house
from gatekeeper.provenance import BrokenCertificate
from gatekeeper.settings import Settings

_NOT_STARTED = "The server could not start; the lines above say why."


@click.command()
@click.option("--host", default=None, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="Port to listen on; 0 lets the system choose."
)
@click.option("--no-inference", is_flag=True, help="Serve the hub alone.")
@pass_house
def serve(house: House, host: str | None, port: int | None, no_inference: bool) -> None:
    """Serve the hub until interrupted."""
    changes: dict[str, object] = {}
    if host is not None:
        changes["host"] = host
    if port is not None:
        changes["port"] = port
    if no_inference:
        changes["inference_url"] = "off"
    _require_current(house)
    run_server(house.settings.model_copy(update=changes))


def run_server(settings: Settings, *, greeting: str = "") -> None:
    """Listen, say where, and serve until SIGINT or SIGTERM. Raises Failure when the address cannot be had."""
    logs.configure()
    listener = _listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    if "public_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"public_url": f"http://localhost:{port}"})
    settings = settings.model_copy(update={"port": port})
    said = f"{greeting}Gatekeeper is at {settings.public_url}  (Ctrl-C stops it)"
    if settings.server == "granian":
        listener.close()  # it listens by itself
        _run_granian(settings, said)
        return
    with listener:
        config = uvicorn.Config(
            _built(settings),
            loop="uvloop",
            http=BoundedHead,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=10,
            timeout_keep_alive=30,
        )
        server = uvicorn.Server(config)
        click.echo(said)
        server.run(sockets=[listener])
    if not server.started:
        raise Failure(_NOT_STARTED)


@command
async def _require_current(house: House) -> None:
    await house.require_current()


def _run_granian(settings: Settings, said: str) -> None:
    try:
        from granian import Granian  # an extra: not everybody has it
        from granian.constants import HTTPModes, Interfaces, Loops
        from granian.http import HTTP1Settings
    except ImportError:
        raise Failure(
            "GATEKEEPER_SERVER=granian needs the package granian: pip install 'gatekeeper-hub[granian]'."
        ) from None
    server = Granian(
        "gatekeeper",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=LONGEST_HEAD),
        websockets=False,
        log_enabled=False,
        workers_kill_timeout=15,
    )
    click.echo(said)
    try:
        server.serve(target_loader=partial(_in_worker, settings), wrap_loader=False)
    except SystemExit as ended:
        if ended.code:
            raise Failure(_NOT_STARTED) from None


def _in_worker(settings: Settings) -> ASGIApp:
    """The application in granian's process. About addresses of callers it believes whom uvicorn believes."""
    logs.configure()
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
    return ProxyHeadersMiddleware(_built(settings), trusted_hosts=trusted)  # type: ignore[return-value, arg-type]


def _built(settings: Settings) -> ASGIApp:
    try:
        return build(settings)
    except BrokenCertificate as error:
        raise Failure(error.sentence) from None


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Failure(
            f"Cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}. Choose another with --port."
        ) from None
    listener.set_inheritable(False)
    return listener
