"""Starting a real server for tests, and ending it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi

from gatekeeper import schema, tokens
from gatekeeper.accounts import OPERATOR, people
from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings
from tests.wire.server import Hub

_PEOPLE = ("ada", "bob", "eve", "olga")


class Server:
    """A hub on a port of its own, in a process of its own, with people in its database. It can be started again.

    words  what is said to `gatekeeper serve` besides
    more   settings beside the usual ones
    """

    def __init__(self, data_dir: Path, *, words: tuple[str, ...] = (), **more: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        usual = {"public_url": self.url, "host": "127.0.0.1", "port": self.port}
        self.settings = Settings(data_dir=data_dir, _env_file=None, **usual | more)
        self.secrets = asyncio.run(_prepare(self.settings))
        self._words = words
        self._env = _server_env(self.settings, more)
        self._log = data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def hub(self) -> Hub:
        """The running server as tests see it."""
        assert self._process is not None
        return Hub(self.url, self.port, self.settings.data_dir, self._process.pid, self.secrets)

    def api(self, person: str) -> HfApi:
        """The public client, whether the server runs or not."""
        return HfApi(endpoint=self.url, token=self.secrets[person])

    def start(self) -> None:
        """Start it and wait until it answers."""
        words = ["serve", *self._words, "--host", "127.0.0.1", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gatekeeper", *words],
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )
        try:
            _wait_until_ready(self.url, self._process, self._log)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let it end in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all it started at once, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def serving(data_dir: Path, **more: Any) -> Iterator[Hub]:
    """A server that runs. `more`: settings beside the usual ones."""
    server = Server(data_dir, **more)
    server.start()
    try:
        yield server.hub
    finally:
        server.stop()


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
