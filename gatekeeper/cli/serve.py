"""`serve`: the web process and, beside it, the inference process that it supervises."""

import os
import socket

import click
import uvicorn

from gatekeeper import logs
from gatekeeper.app import build
from gatekeeper.cli.protocol import BoundedHead
from gatekeeper.cli.run import Failure, House, pass_house
from gatekeeper.settings import Settings


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
    run_server(house.settings.model_copy(update=changes))


def run_server(settings: Settings, *, greeting: str = "") -> None:
    """Listen, say where, and serve until SIGINT or SIGTERM. Raises Failure when the address cannot be had."""
    logs.configure()
    listener = _listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    if "public_url" not in settings.model_fields_set:
        settings = settings.model_copy(update={"public_url": f"http://localhost:{port}"})
    settings = settings.model_copy(update={"port": port})
    config = uvicorn.Config(
        build(settings),
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
    click.echo(f"{greeting}Gatekeeper is at {settings.public_url}  (Ctrl-C stops it)")
    server.run(sockets=[listener])
    if not server.started:
        raise Failure("The server could not start; the lines above say why.")


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
