"""Fixtures that run the real server and drive it with the real, unmodified clients.

hub         a running server, one for the whole session, with tokens of ada, bob, eve and olga, who administers it
name        a fresh repository name under ada, for each test
client_env  environment for a client in a process of its own: its own HF_HOME, the hub as its endpoint
run_client  runs a Python snippet as such a client and returns its `answer`; `python` names another interpreter

Nothing is replaced: a socket, a process, SQLite and files on disk.
"""

import json
import os
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

from tests.wire.server import Hub
from tests.wire.serving import serving


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving(tmp_path_factory.mktemp("hub")) as server:
        yield server


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
    def run(
        code: str,
        *,
        person: str | None,
        env: dict[str, str] | None = None,
        python: str | Path = sys.executable,
        **values: Any,
    ) -> Any:
        token = {"HF_TOKEN": hub.tokens[person]} if person else {}
        given = f"values = {values!r}\n"
        answer = tmp_path / f"answer-{time.monotonic_ns()}.json"
        program = f"import json\n{given}{textwrap.dedent(code)}\njson.dump(answer, open({str(answer)!r}, 'w'))\n"
        done = subprocess.run(
            [python, "-c", program],
            env=client_env | token | (env or {}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(answer.read_text())

    return run
