"""Keeps one inference process alive beside the web process: starts it, watches it, restarts it, stops it.

The child listens on a Unix socket in a directory of mode 0700, gets the order key as a file, and none of the web
process's own settings. It ends with its supervisor, even when that one is killed.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path

import structlog

from gatekeeper.generation.client import Worker, WorkerError

_log = structlog.get_logger("gatekeeper.generation")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
STEADY_SECONDS = 60.0  # a child that lived this long is restarted without growing the pause
STOP_SECONDS = 10.0
HEALTH_SECONDS = 0.2
LONGEST_SOCKET_PATH = 100  # the kernel allows 107 bytes
MAX_LOG_BYTES = 10_000_000


class WorkerState(StrEnum):
    """How the child is."""

    STOPPED = "stopped"
    STARTING = "starting"  # it imports its libraries; some seconds
    READY = "ready"
    PAUSED = "paused"  # it died and is restarted after a pause


class Supervisor:
    """One supervised inference process and the client to it.

    run_dir    private directory for socket, key and log
    store_dir  content-addressed store the child reads weights from
    settings   more `INFERENCE_*` variables, for tests; the environment's own are passed on
    """

    def __init__(
        self, run_dir: Path, *, store_dir: Path | None, key: bytes, settings: dict[str, str] | None = None
    ) -> None:
        self._run_dir = run_dir.resolve()
        self._work_dir = self._run_dir / "models"
        self._key_file = self._run_dir / "inference.key"
        self._log_file = self._run_dir / "inference.log"
        self._store_dir = store_dir.resolve() if store_dir is not None else None
        self._key = key
        self._settings = settings or {}
        self._socket = _socket_path(self._run_dir)
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self.worker = Worker(f"unix:{self._socket}", key=key)
        self.state = WorkerState.STOPPED
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The child's process id, while it lives."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Begin to supervise and return at once; the child needs some seconds until it is ready."""
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket.parent.chmod(0o700)
        self._work_dir.mkdir(mode=0o700, exist_ok=True)
        for left in self._work_dir.glob("model-*"):  # by a killed child; what is remembered beside it stays
            shutil.rmtree(left, ignore_errors=True)
        _write_private(self._key_file, self._key)
        self.state = WorkerState.STARTING
        self._task = asyncio.create_task(self._supervise())

    async def wait_ready(self, seconds: float = 120) -> None:
        """Wait until the child answers. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            await self._ready.wait()

    async def stop(self) -> None:
        """End the child, politely at first, and stop supervising."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end_child()
        self._ready.clear()
        self.state = WorkerState.STOPPED

    async def _supervise(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            self.state = WorkerState.STARTING
            process = self._process = await self._spawn()
            watch = asyncio.create_task(self._watch_start())
            try:
                status = await process.wait()
            finally:
                watch.cancel()
            self._ready.clear()
            self.state = WorkerState.PAUSED
            self.restarts += 1
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - began > STEADY_SECONDS else pause
            _log.error("inference process died", status=status, restart_in_seconds=pause, log=str(self._log_file))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._socket.unlink(missing_ok=True)
        _shorten(self._log_file)
        with self._log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "inference",
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the web process alone, which then ends the child
            )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEKEEPER_")}
        own = {
            "INFERENCE_SOCKET": str(self._socket),
            "INFERENCE_KEY_FILE": str(self._key_file),
            "INFERENCE_PARENT_PID": str(os.getpid()),
            # Beside the store, so that weights are linked and not copied.
            "INFERENCE_WORK_DIR": str(self._work_dir),
        }
        if self._store_dir is not None:
            own["INFERENCE_STORE_DIR"] = str(self._store_dir)
        return inherited | own | self._settings

    async def _watch_start(self) -> None:
        """Ask for the child's health until it answers."""
        while True:
            with contextlib.suppress(WorkerError):
                health = await self.worker.health()
                self.state = WorkerState.READY
                self._ready.set()
                _log.info("inference process is ready", pid=health.pid, device=health.device)
                return
            await asyncio.sleep(HEALTH_SECONDS)

    async def _end_child(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _socket_path(run_dir: Path) -> Path:
    """A place for the socket; a short one when the run directory's own name is too long for the kernel."""
    path = run_dir / "inference" / "worker.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="gatekeeper-")) / "worker.sock"


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _shorten(log_file: Path) -> None:
    """Put a long log aside, so that one older file is kept."""
    if log_file.exists() and log_file.stat().st_size > MAX_LOG_BYTES:
        log_file.replace(log_file.with_suffix(".log.1"))
