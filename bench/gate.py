"""What the gate costs: requests through token, decision and evidence against a bare Starlette app, in one run.

    python bench/gate.py [--seconds 4] [--rounds 3] [--connections 32]

Both servers are single uvicorn processes on this machine and are driven one after the other, in alternating rounds. Two
ratios are printed for each case: requests per second, and CPU time per request. Where other work shares the machine the
second is the one to read. HEAD is compared with a bare 302 (it tells, but sends no content, so it is no download and
leaves no evidence), the small file with bytes from memory, the large one with Starlette's FileResponse. Goals
(docs/performance.md): at least 0.40 of the bare app, at least 0.22 with the evidence of every download on disk before
its answer.

Then, each against its own baseline: files that nobody asked for before (P3), the obvious way to build a gate (P5,
bench/obvious.py), and HEAD while the policies are put in force and taken back again and again (P14).
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MEBIBYTE = 2**20
FRESH = 20_000
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Figure:
    """One round: requests per second, and the server's CPU microseconds per request."""

    per_second: float
    cpu_us: float
    p99_ms: float
    worst_ms: float
    statuses: dict[str, int]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-gate-") as folder, contextlib.ExitStack() as stack:
        work = Path(folder)
        model = work / "model"
        model.mkdir()
        (model / "weights.bin").write_bytes(os.urandom(MEBIBYTE))
        (model / "small.bin").write_bytes(os.urandom(1024))
        for number in range(FRESH):
            (model / f"fresh{number}.json").write_text(f'{{"number": {number}}}')
        (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
        bare = stack.enter_context(_bare(model / "weights.bin"))
        gates = {}
        for evidence in ("queued", "durable"):
            data = work / evidence
            secret = _seed(data, model)
            gates[evidence] = (stack.enter_context(_gate(data, evidence)), secret)
        print(f"{os.cpu_count()} cores, {options.connections} connections, {options.rounds} x {options.seconds:g} s")
        for evidence in ("queued", "durable"):
            for label, method, path in (
                ("HEAD", "HEAD", "weights.bin"),
                ("GET 1 KiB", "GET", "small.bin"),
                ("GET 1 MiB", "GET", "weights.bin"),
            ):
                goal = 0.40 if evidence == "queued" else 0.22
                gate, secret = gates[evidence]
                _compare(f"{label:<9} evidence {evidence:<7}", goal, method, path, bare, gate, secret, options)
        gate, secret = gates["queued"]
        _fresh(bare, gate, secret, options)
        obvious = stack.enter_context(_obvious(work / "obvious.sqlite3"))
        _against_obvious(obvious, gate, secret, options)
        _while_policies_change(work / "queued", gate, secret, options)


def _fresh(bare: tuple[int, int], gate: tuple[int, int], secret: str, options: argparse.Namespace) -> None:
    """P3: each file is asked for once, so that token, facts and decision come from the database."""
    paths = "\0".join(f"fresh{number}.json" for number in range(FRESH))
    plain = _drive(*bare, "HEAD", "fresh0.json", secret, options.connections, options.seconds)
    fresh = _drive(*gate, "HEAD", paths, secret, options.connections, options.seconds)
    share, goal = min(FRESH / max(fresh.per_second * options.seconds, 1), 1.0), 0.15
    ratio = fresh.per_second / plain.per_second
    print(
        f"P3  HEAD of files not asked for before  {fresh.per_second:.0f} /s against {plain.per_second:.0f} /s bare ="
        f" {ratio:.3f} (goal {goal}, {'met' if ratio >= goal else 'NOT met'}); {share:.0%} of them were new"
    )


def _against_obvious(obvious: tuple[int, int], gate: tuple[int, int], secret: str, options: argparse.Namespace) -> None:
    """P5: the same question to the obvious build."""
    theirs = _drive(*obvious, "HEAD", "weights.bin", "gk_obvious", options.connections, options.seconds)
    ours = _drive(*gate, "HEAD", "weights.bin", secret, options.connections, options.seconds)
    ratio = ours.per_second / theirs.per_second
    print(
        f"P5  HEAD  {ours.per_second:.0f} /s against {theirs.per_second:.0f} /s of the obvious build ="
        f" {ratio:.1f} times (goal 15, {'met' if ratio >= 15 else 'NOT met'}); statuses {theirs.statuses}"
    )


def _while_policies_change(data: Path, gate: tuple[int, int], secret: str, options: argparse.Namespace) -> None:
    """P14: policies are changed about once a second by another process meanwhile."""
    changed = data.parent / "changed"
    shutil.copytree(ROOT / "policies", changed)
    over, changes = threading.Event(), 0

    def change() -> None:
        nonlocal changes
        run = _command(data)
        while not over.is_set():
            with (changed / "know.cedar").open("a") as file:
                file.write(f"// change {changes}\n")
            run("policies", "activate", str(changed), "--note", "bench")
            changes += 1

    thread = threading.Thread(target=change)
    thread.start()
    figure = _drive(*gate, "HEAD", "weights.bin", secret, options.connections, max(options.seconds, 8))
    over.set()
    thread.join()
    print(
        f"P14 HEAD while policies change ({changes} times)  {figure.per_second:.0f} /s, 99th percentile"
        f" {figure.p99_ms:.1f} ms, worst {figure.worst_ms:.0f} ms"
        f" (goal 1000, {'met' if figure.worst_ms < 1000 else 'NOT met'})"
    )


def _compare(
    label: str,
    goal: float,
    method: str,
    path: str,
    bare: tuple[int, int],
    gate: tuple[int, int],
    secret: str,
    options: argparse.Namespace,
) -> None:
    rounds: dict[str, list[Figure]] = {"bare": [], "gate": []}
    for number in range(options.rounds + 1):
        for name, (port, pid) in (("bare", bare), ("gate", gate)):
            seconds = 1.0 if number == 0 else options.seconds
            figure = _drive(port, pid, method, path, secret, options.connections, seconds)
            if number:  # the first round warms up
                rounds[name].append(figure)
    plain = {name: statistics.median(f.per_second for f in figures) for name, figures in rounds.items()}
    cpu = {name: statistics.median(f.cpu_us for f in figures) for name, figures in rounds.items()}
    p99 = {name: statistics.median(f.p99_ms for f in figures) for name, figures in rounds.items()}
    statuses = rounds["gate"][-1].statuses
    print(
        f"{label}  {plain['gate']:8.0f} /s against {plain['bare']:8.0f} /s bare = {plain['gate'] / plain['bare']:.2f}"
        f"   CPU {cpu['gate']:6.1f} us against {cpu['bare']:6.1f} us = {cpu['bare'] / cpu['gate']:.2f}"
        f"   p99 {p99['gate']:.1f} against {p99['bare']:.1f} ms   goal {goal:.2f}   statuses {statuses}"
    )


def _drive(port: int, pid: int, method: str, path: str, secret: str, connections: int, seconds: float) -> Figure:
    request = "\0".join(
        f"{method} /bench/model/resolve/main/{each} HTTP/1.1\r\nHost: localhost:{port}\r\n"
        f"User-Agent: bench\r\nAuthorization: Bearer {secret}\r\nAccept-Encoding: identity\r\n\r\n"
        for each in path.split("\0")
    )
    before = _cpu_seconds(pid)
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py"), str(port), str(connections), str(seconds)],
        input=request.encode(),
        capture_output=True,
        check=True,
    )
    figures = json.loads(done.stdout)
    used = _cpu_seconds(pid) - before
    return Figure(
        per_second=figures["per_second"],
        cpu_us=used / max(figures["requests"], 1) * 1e6,
        p99_ms=figures["p99_ms"] or 0.0,
        worst_ms=figures["worst_ms"] or 0.0,
        statuses=figures["statuses"],
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _seed(data: Path, model: Path) -> str:
    """A fresh hub with one public model and one person; returns that person's token."""
    run = _command(data)
    run("db", "upgrade")
    run("people", "add", "bench", "--email", "bench@example.org", "--password-stdin", stdin="correct horse battery\n")
    run("repos", "import", str(model), "bench/model")
    return run("tokens", "issue", "bench", "--role", "read", "--label", "bench").strip()


def _command(data: Path):  # type: ignore[no-untyped-def]
    def run(*arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gatekeeper", *arguments],
            env={**os.environ, "GATEKEEPER_DATA_DIR": str(data)},
            input=stdin,
            text=True,
            capture_output=True,
            cwd=ROOT,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"gatekeeper {' '.join(arguments)} failed: {done.stderr}")
        return done.stdout

    return run


@contextlib.contextmanager
def _gate(data: Path, evidence: str) -> Iterator[tuple[int, int]]:
    port = _free_port()
    environment = {
        **os.environ,
        "GATEKEEPER_DATA_DIR": str(data),
        "GATEKEEPER_DOWNLOAD_EVIDENCE": evidence,
        "GATEKEEPER_INFERENCE_URL": "off",
    }
    command = [sys.executable, "-m", "gatekeeper", "serve", "--port", str(port)]
    with _server(command, environment, port, "/healthz") as pid:
        yield port, pid


@contextlib.contextmanager
def _bare(file: Path) -> Iterator[tuple[int, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(HERE), "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning"]
    with _server(command, {**os.environ, "BARE_FILE": str(file)}, port, "/x/y/resolve/main/z") as pid:
        yield port, pid


@contextlib.contextmanager
def _obvious(database: Path) -> Iterator[tuple[int, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "obvious:app", "--app-dir", str(HERE), "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning"]
    with _server(command, {**os.environ, "OBVIOUS_DATABASE": str(database)}, port, "/") as pid:
        yield port, pid


@contextlib.contextmanager
def _server(command: list[str], environment: dict[str, str], port: int, probe: str) -> Iterator[int]:
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(f"http://127.0.0.1:{port}{probe}", process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("a server of the benchmark did not start")
        try:
            urllib.request.urlopen(address, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit("a server of the benchmark did not answer in 30 seconds")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
