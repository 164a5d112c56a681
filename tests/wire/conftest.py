"""Fixtures that run the real server and drive it with the real, unmodified clients.

hub         a running server, one for the whole session, with tokens of ada, bob, eve and olga, who administers it
name        a fresh repository name under ada, for each test
client_env  environment for a client in a process of its own: its own HF_HOME, the hub as its endpoint
run_client  runs a Python snippet as such a client and returns what it printed as JSON

Nothing is replaced: a socket, a process, SQLite and files on disk.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The client reads these once, at its first import, and would otherwise write into the developer's own cache.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="wire-hf-home-")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"

import httpx2

from gatekeeper import schema, tokens
from gatekeeper.accounts import OPERATOR, people
from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings
from tests.wire.server import Hub

_PEOPLE = ("ada", "bob", "eve", "olga")


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data_dir = tmp_path_factory.mktemp("hub")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = Settings(data_dir=data_dir, public_url=url, host="127.0.0.1", port=port, _env_file=None)
    secrets = asyncio.run(_prepare(settings))
    with (data_dir / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "gatekeeper", "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=_server_env(settings),
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


@pytest.fixture
def name(hub: Hub) -> str:
    return f"ada/m{time.monotonic_ns()}"


@pytest.fixture
def client_env(hub: Hub, tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "GATEKEEPER_"))}
    return kept | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_XET_CLIENT_RETRY_BASE_DELAY": "100ms",
        "NO_PROXY": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def run_client(hub: Hub, client_env: dict[str, str], tmp_path: Path) -> Callable[..., Any]:
    def run(code: str, *, person: str | None, env: dict[str, str] | None = None, **values: Any) -> Any:
        token = {"HF_TOKEN": hub.tokens[person]} if person else {}
        given = f"values = {values!r}\n"
        answer = tmp_path / f"answer-{time.monotonic_ns()}.json"
        program = f"import json\n{given}{textwrap.dedent(code)}\njson.dump(answer, open({str(answer)!r}, 'w'))\n"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=client_env | token | (env or {}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(answer.read_text())

    return run


async def _prepare(settings: Settings) -> dict[str, str]:
    """A migrated database with people in it."""
    gatekeeper = assemble(settings)
    gatekeeper.store.prepare()
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


def _server_env(settings: Settings) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "GATEKEEPER_", "INFERENCE_"))}
    return kept | {
        "GATEKEEPER_DATA_DIR": str(settings.data_dir),
        "GATEKEEPER_PUBLIC_URL": settings.public_url,
        "OMP_NUM_THREADS": "1",
        "INFERENCE_FAKE": "1",  # pixels are made up, everything around them is real; journeys use the bundled model
    }


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
