"""P11 and the public client: hashing while writing, LFS and Xet, a fine-tuned variant, and the server's memory."""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from measuring import (
    GIBIBYTE,
    MEBIBYTE,
    ROOT,
    Memory,
    Options,
    Report,
    Server,
    clean_environment,
    free_port,
    hub,
    need_disk,
    random_file,
    seed,
)

from gatekeeper.repos.storage import DirectoryStore

_MEMORY = 400  # MB
_CHANGED_OF = 20  # one MiB in twenty is another: 5 %

_CLIENT = """
import json, sys, time
from huggingface_hub import HfApi
path, repo = sys.argv[1:]
api = HfApi()
api.create_repo(repo, exist_ok=True)
started = time.perf_counter()
api.upload_file(path_or_fileobj=path, path_in_repo="weights.bin", repo_id=repo)
print(json.dumps(time.perf_counter() - started))
"""

# Sends a file from the page cache with as little work as there is, so that the server is what is measured.
_PUT = """
import os, socket, sys, time
address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
size = os.path.getsize(path)
started = time.perf_counter()
connection = socket.create_connection(("127.0.0.1", port))
lines = [f"PUT {address} HTTP/1.1", f"Host: localhost:{port}", f"Content-Length: {size}", "Connection: close"]
connection.sendall("\\r\\n".join([*lines, "", ""]).encode())
with open(path, "rb") as file:
    connection.sendfile(file)
answer = b""
while piece := connection.recv(65536):
    answer += piece
print(time.perf_counter() - started, answer.split(b"\\r\\n")[0].decode())
"""


def hashing(options: Options, report: Report) -> None:
    """P11: what the store adds to hashing, writing and flushing a file, which nobody can leave out."""
    report.title("P11  an upload is hashed while it is written")
    need_disk(options, 8)
    source = options.work / "up.bin"
    random_file(source, options.large)
    rates: dict[str, list[float]] = {"baseline": [], "store": [], "http": []}
    read = 0.0
    data = options.work / "uploads"
    token = seed(data)
    with hub(data) as server:
        for number in range(options.rounds + 1):
            for name, several in rates.items():
                read_before = _bytes_read(server)
                match name:
                    case "baseline":
                        seconds, cpu = _measured(_plainly, source, options.work / "plain.bin")
                    case "store":
                        seconds, cpu = _measured(_by_the_store, source, options.work / "store")
                    case _:
                        seconds, cpu = _by_http(server, token, source, f"bench/up{number}")
                        read = max(read, (_bytes_read(server) - read_before) / options.large)
                if number:
                    several.append(options.large / seconds)
                    cost = cpu / options.large * GIBIBYTE
                    report.tell(f"{name:<9} {options.large / seconds / MEBIBYTE:6.0f} MiB/s, {cost:.2f} CPU s/GiB")
    best = {name: max(found) for name, found in rates.items()}
    report.goal("P11 the store, of sha256 + write + fsync", best["store"] / best["baseline"], least=0.85)
    report.goal("P11 a whole LFS upload by HTTP, of the same", best["http"] / best["baseline"], least=0.85)
    # What arrives on the socket may count as read once; a second read of the file would make it two.
    report.goal("P11 bytes that the server read, of the file's", read, most=1.1)
    source.unlink()


def clients(options: Options, report: Report) -> None:
    """The public client sends a file and then a variant of it, by LFS and by Xet."""
    need_disk(options, 8)
    source, variant = options.work / "first.bin", options.work / "second.bin"
    random_file(source, options.large)
    changed = _vary(source, variant)
    for way in ("LFS", "Xet"):
        report.title(f"Upload by {way}: {options.large // MEBIBYTE} MiB, then a variant with {changed:.1%} changed")
        data = options.work / way
        token = seed(data)
        port = free_port()
        with hub(data, public_url=f"http://127.0.0.1:{port}") as server, _counting(port, server.port) as sent:
            home = options.work / f"home-{way}"
            for name, file in (("first", source), ("variant", variant)):
                sent_before, stored_before = sent(), _stored(data)
                cpu_before = server.cpu_seconds()
                with Memory(server) as memory:
                    seconds = _send(file, f"http://127.0.0.1:{port}", token, home, way)
                cpu = server.cpu_seconds() - cpu_before
                stored = {kind: size - stored_before[kind] for kind, size in _stored(data).items()}
                report.tell(
                    f"{name:<8} sent {(sent() - sent_before) / MEBIBYTE:7.1f} MiB; stored "
                    f"{stored['sha256'] / MEBIBYTE:.1f} MiB as files, {stored['xorbs'] / MEBIBYTE:.1f} MiB as xorbs; "
                    f"{options.large / seconds / MEBIBYTE:.0f} MiB/s, {cpu * GIBIBYTE / options.large:.2f} CPU s/GiB"
                )
                report.goal(f"{way} {name}, peak of the server's memory in MB", memory.peak / 1e6, most=_MEMORY)
        shutil.rmtree(data)
        shutil.rmtree(home, ignore_errors=True)
    source.unlink()
    variant.unlink()


def _measured(act: Callable[[Path, Path], None], source: Path, target: Path) -> tuple[float, float]:
    """Seconds and CPU seconds that it takes in this process."""
    started, cpu = time.perf_counter(), time.process_time()
    act(source, target)
    return time.perf_counter() - started, time.process_time() - cpu


def _plainly(source: Path, target: Path) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as file, target.open("wb") as out:
        while piece := file.read(MEBIBYTE):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    digest.hexdigest()
    target.unlink()


def _by_the_store(source: Path, root: Path) -> None:
    async def keep() -> None:
        store = DirectoryStore(root)
        store.prepare()
        with source.open("rb") as file:
            async with store.stage() as staged:
                while piece := file.read(MEBIBYTE):
                    await staged.write(piece)
                await staged.keep()

    asyncio.run(keep())
    shutil.rmtree(root)


def _by_http(server: Server, token: str, source: Path, repo: str) -> tuple[float, float]:
    """One LFS upload to a repository of its own, so that it is never there already."""
    with source.open("r+b") as file:
        file.write(os.urandom(32))
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    name = repo.partition("/")[2]
    _call(server, token, "/api/repos/create", {"name": name})
    asked = {"operation": "upload", "transfers": ["basic"], "objects": [{"oid": digest, "size": source.stat().st_size}]}
    [row] = _call(server, token, f"/{repo}.git/info/lfs/objects/batch", asked)["objects"]
    address = row["actions"]["upload"]["href"].partition("://")[2].partition("/")[2]
    command = [sys.executable, "-c", _PUT, f"/{address}", str(server.port), str(source)]
    cpu = server.cpu_seconds()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    cpu = server.cpu_seconds() - cpu
    seconds, _, status = done.stdout.strip().partition(" ")
    if " 200 " not in status:
        raise SystemExit(f"an upload failed: {done.stdout} {done.stderr[-2000:]}")
    _call(server, token, "/api/repos/delete", {"name": name}, method="DELETE")
    return float(seconds), cpu


def _call(server: Server, token: str, path: str, body: object, *, method: str = "POST"):  # type: ignore[no-untyped-def]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    address = f"http://127.0.0.1:{server.port}{path}"
    request = urllib.request.Request(address, json.dumps(body).encode(), headers, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
        return json.loads(answer.read() or b"null")


def _bytes_read(server: Server) -> int:
    fields = dict(line.split(": ") for line in Path(f"/proc/{server.pid}/io").read_text().splitlines())
    return int(fields["rchar"])


def _vary(source: Path, variant: Path) -> float:
    """The file with one MiB in twenty replaced; returns the share that changed."""
    changed = 0
    with source.open("rb") as file, variant.open("wb") as out:
        for number, piece in enumerate(iter(lambda: file.read(MEBIBYTE), b"")):
            is_other = number % _CHANGED_OF == _CHANGED_OF // 2
            changed += len(piece) if is_other else 0
            out.write(os.urandom(len(piece)) if is_other else piece)
    return changed / source.stat().st_size


def _send(file: Path, address: str, token: str, home: Path, way: str) -> float:
    environment = clean_environment() | {
        "HF_ENDPOINT": address,
        "HF_TOKEN": token,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({"HF_HUB_DISABLE_XET": "1"} if way == "LFS" else {}),
    }
    command = [sys.executable, "-c", _CLIENT, str(file), f"bench/by-{way.lower()}"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the client failed: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def _stored(data: Path) -> dict[str, int]:
    sizes = {}
    for kind in ("sha256", "xorbs"):
        files = (path for path in (data / "files" / kind).rglob("*") if path.is_file())
        sizes[kind] = sum(path.stat().st_size for path in files)
    return sizes


@contextlib.contextmanager
def _counting(port: int, to: int) -> Iterator[Callable[[], int]]:
    """A relay on `port`, which counts what clients send. It runs in a thread of this process."""
    count = 0
    loop = asyncio.new_event_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_counted: bool) -> None:
        nonlocal count
        with contextlib.suppress(OSError):
            while piece := await reader.read(MEBIBYTE):
                count += len(piece) if is_counted else 0
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", to, limit=4 * MEBIBYTE)
        await asyncio.gather(
            carry(reader, inner_writer, is_counted=True), carry(inner_reader, writer, is_counted=False)
        )

    ready = threading.Event()

    async def serve() -> None:
        await asyncio.start_server(relay, "127.0.0.1", port, limit=4 * MEBIBYTE)
        ready.set()

    async def end() -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(end())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not ready.wait(20):
        raise SystemExit("the relay does not listen")
    try:
        yield lambda: count
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
