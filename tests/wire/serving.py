"""Starting a real server for tests, and ending it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from gatekeeper import schema, tokens
from gatekeeper.accounts import OPERATOR, people
from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings
from tests.wire.server import Hub

_PEOPLE = ("ada", "bob", "eve", "olga")


@contextmanager
def serving(data_dir: Path, **more: Any) -> Iterator[Hub]:
    """A server in a process of its own with people in its database. `more`: settings beside the usual ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = Settings(data_dir=data_dir, public_url=url, host="127.0.0.1", port=port, _env_file=None, **more)
    secrets = asyncio.run(_prepare(settings))
    with (data_dir / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "gatekeeper", "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=_server_env(settings, more),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
    try:
        _wait_until_ready(url, server, data_dir / "server.log")
        yield Hub(url, port, data_dir, server.pid, secrets)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


async def _prepare(settings: Settings) -> dict[str, str]:
    """A migrated database with people in it."""
    gatekeeper = assemble(settings)
    await schema.upgrade(gatekeeper.db)
    secrets = {}
    async with gatekeeper.db.write() as session:
        for person_name in _PEOPLE:
            person = await people.add(
                session,
                person_name,
                email=f"{person_name}@example.org",
                password="correct horse battery staple",
                is_admin=person_name == "olga",
                by=OPERATOR,
            )
            _, secrets[person_name] = await tokens.issue(
                session,
                person,
                label="wire",
                role="write",
                scopes=["read", "download", "generate", "write", "review", "admin"],
                key=gatekeeper.keys.tokens,
            )
    await close(gatekeeper)
    return secrets


def _server_env(settings: Settings, more: dict[str, Any]) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "GATEKEEPER_", "INFERENCE_"))}
    given = {f"GATEKEEPER_{name.upper()}": str(value) for name, value in more.items()}
    return (
        kept
        | given
        | {
            "GATEKEEPER_DATA_DIR": str(settings.data_dir),
            "GATEKEEPER_PUBLIC_URL": settings.public_url,
            "OMP_NUM_THREADS": "1",
            "INFERENCE_FAKE": "1",  # pixels are made up, everything around them is real; journeys use the bundled model
        }
    )


def _wait_until_ready(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    ends = time.monotonic() + 240
    while time.monotonic() < ends:
        assert server.poll() is None, log.read_text()[-4000:]
        try:
            if httpx2.get(f"{url}/healthz", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server did not become ready: {log.read_text()[-4000:]}")
