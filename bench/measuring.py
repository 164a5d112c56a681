"""What the parts of bench/hub.py share: processes that are ended for certain, their CPU time, and lines of a report."""

import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
KIBIBYTE, MEBIBYTE, GIBIBYTE = 2**10, 2**20, 2**30
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.1


@dataclass
class Options:
    """How large everything is. `is_small` proves that the script works; its figures mean little."""

    is_small: bool
    seconds: float
    rounds: int
    work: Path

    @property
    def large(self) -> int:
        """Bytes of the large file."""
        return 64 * MEBIBYTE if self.is_small else GIBIBYTE


@dataclass
class Report:
    """Prints figures beside their goals, and remembers whether all were met."""

    missed: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """A line without a goal."""
        print(f"    {text}", flush=True)

    def title(self, text: str) -> None:
        """A heading."""
        print(f"\n{text}", flush=True)

    def goal(self, name: str, figure: float, *, least: float | None = None, most: float | None = None) -> None:
        """A figure with its goal: at least, or at most."""
        is_met = figure >= least if least is not None else figure <= (most or 0)
        bound = f">= {least:g}" if least is not None else f"<= {most:g}"
        print(f"    {name}: {figure:.2f}   goal {bound}   {'met' if is_met else 'NOT MET'}", flush=True)
        if not is_met:
            self.missed.append(name)


@dataclass(frozen=True)
class Server:
    """A process with all it started: they share its session, whose number is its pid."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time that they have used."""
        return sum(int(stat[11]) + int(stat[12]) for stat in self._stats()) / _TICKS

    def memory(self) -> int:
        """Bytes that they have in memory, libraries included."""
        pages = sum(int(stat[21]) for stat in self._stats())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _stats(self) -> Iterator[list[str]]:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(stat[3]) == self.pid:
                        yield stat


class Memory:
    """The peak of a server's memory while a block runs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak = 0

    def __enter__(self) -> "Memory":
        self.base = self.peak = self._server.memory()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            self.peak = max(self.peak, self._server.memory())


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    probe: str = "/",
    cwd: Path = ROOT,
) -> Iterator[Server]:
    """A server while the block runs; it has answered once. It ends with all it started, whatever happens."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment or os.environ),
            cwd=cwd,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        _wait(f"http://127.0.0.1:{port}{probe}", process, log)
        yield Server(port, process.pid)
    finally:
        for number, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise SystemExit(f"a server of the benchmark did not start:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            opener.open(address, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # any answer is one
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"a server of the benchmark did not answer:\n{log.read_text(errors='replace')[-2000:]}")


def gatekeeper(data: Path, *arguments: str, stdin: str = "") -> str:
    """A command of Gatekeeper on `data`; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "gatekeeper", *arguments],
        env={**clean_environment(), "GATEKEEPER_DATA_DIR": str(data)},
        input=stdin,
        text=True,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"gatekeeper {' '.join(arguments)} failed: {done.stderr[-2000:]}")
    return done.stdout


def seed(data: Path, *, model: Path | None = None) -> str:
    """A fresh hub with one person, and a public model `bench/model` if there is one; that person's token."""
    gatekeeper(data, "db", "upgrade")
    words = ["people", "add", "bench", "--email", "bench@example.org", "--password-stdin"]
    gatekeeper(data, *words, stdin="correct horse battery\n")
    if model is not None:
        gatekeeper(data, "repos", "import", str(model), "bench/model")
    return gatekeeper(data, "tokens", "issue", "bench", "--role", "write", "--label", "bench").strip()


@contextlib.contextmanager
def hub(data: Path, **settings: str) -> Iterator[Server]:
    """A hub on `data`, without inference."""
    port = free_port()
    environment = {
        **clean_environment(),
        "GATEKEEPER_DATA_DIR": str(data),
        "GATEKEEPER_INFERENCE_URL": "off",
        **{f"GATEKEEPER_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "gatekeeper", "serve", "--port", str(port)]
    with running(command, port, data / "serve.log", environment=environment, probe="/healthz") as server:
        yield server


@dataclass(frozen=True)
class Load:
    """One round of one connection or more."""

    per_second: float
    cpu_seconds: float  # for each request
    p99_ms: float


def drive(
    port: int,
    servers: Sequence[Server],
    path: str,
    *,
    connections: int,
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """GET `path` over and over. The CPU time is that of `servers`, all together."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept-Encoding: identity\r\n{lines}\r\n"
    before = sum(server.cpu_seconds() for server in servers)
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), str(port), str(connections), str(seconds)],
        input=request.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the load generator failed: {done.stderr.decode(errors='replace')[-2000:]}")
    figures = json.loads(done.stdout)
    if set(figures["statuses"]) - {"200", "206"} or not figures["requests"]:
        raise SystemExit(f"{path} on port {port} was answered with {figures['statuses']}")
    used = sum(server.cpu_seconds() for server in servers) - before
    return Load(figures["per_second"], used / figures["requests"], figures["p99_ms"])


def middle(loads: Sequence[Load]) -> Load:
    """The median of several rounds."""
    return Load(*(statistics.median(getattr(load, name) for load in loads) for name in Load.__dataclass_fields__))


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment() -> dict[str, str]:
    """The environment without what would change a client or a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "GATEKEEPER_"))}
    return kept | {"NO_PROXY": "127.0.0.1,localhost"}


def random_file(path: Path, size: int) -> None:
    """Random bytes, so that nothing can be compressed or shared."""
    with path.open("wb") as file:
        for start in range(0, size, 16 * MEBIBYTE):
            file.write(os.urandom(min(16 * MEBIBYTE, size - start)))


def need_disk(options: Options, sizes: float) -> None:
    """Refuse early where `sizes` times the large file does not fit."""
    free = shutil.disk_usage(options.work).free
    if free < sizes * options.large:
        raise SystemExit(f"{sizes * options.large / GIBIBYTE:.0f} GiB of disk are needed in {options.work.parent}")
