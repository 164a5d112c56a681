"""What one large file costs the server: memory, and megabytes a second, up by LFS and by Xet and down again.

    python bench/large.py [--gib 2]

A server of its own is started for each way, without inference. The unmodified client, in a process of its own, sends a
file of random bytes and fetches it again, first one of 64 MiB and then the large one; meanwhile the server's memory is
read from /proc five times a second. Goal: memory that does not grow with the file, so what counts is what the large one
adds to the small one.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from gate import ROOT, _command, _free_port, _server

MEBIBYTE = 2**20
SMALL = 64 * MEBIBYTE
_EVERY_SECONDS = 0.2
_TOLERATED = 64 * MEBIBYTE

_CLIENT = """
import json, sys, time
from huggingface_hub import HfApi, hf_hub_download
path, repo, folder, what = sys.argv[1:]
started = time.perf_counter()
if what == "up":
    api = HfApi()
    api.create_repo(repo, exist_ok=True)
    started = time.perf_counter()
    api.upload_file(path_or_fileobj=path, path_in_repo="weights.bin", repo_id=repo)
else:
    path = hf_hub_download(repo, "weights.bin", cache_dir=folder)
print(json.dumps({"path": path, "seconds": time.perf_counter() - started}))
"""


class Memory:
    """The server's resident memory while a block runs: `base` before it, `peak` within it. In bytes, files left out."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self.base = self.peak = 0

    def __enter__(self) -> "Memory":
        self.base = self.peak = self._read()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        """How far the peak lies above the beginning."""
        return self.peak - self.base

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            self.peak = max(self.peak, self._read())

    def _read(self) -> int:
        fields = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
        return int(fields.get("RssAnon", fields["VmRSS"]).split()[0]) * 1024


def main() -> None:
    """Measure and print. Ends with status 1 where memory grew with the file, or a file came back changed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gib", type=float, default=2, help="size of the large file")
    size = int(parser.parse_args().gib * 2**30)
    with tempfile.TemporaryDirectory(prefix="bench-large-") as folder:
        work = Path(folder)
        # The file, the server's copy (with Xet also what was sent, until it is put together), the client's two.
        if shutil.disk_usage(work).free < 6 * size:
            raise SystemExit(f"{6 * size / 2**30:.0f} GiB of disk are needed in {work.parent}")
        is_good = [_measure(work / way, way, size) for way in ("LFS", "Xet")]
    sys.exit(not all(is_good))


def _measure(work: Path, way: str, size: int) -> bool:
    work.mkdir()
    is_good = True
    with _hub(work / "data") as (address, pid, token):
        client = {"HF_ENDPOINT": address, "HF_TOKEN": token, "HF_HOME": str(work / "home")}
        client |= {"HF_HUB_DISABLE_XET": "1"} if way == "LFS" else {}
        growths = {}
        for label, length in (("64 MiB", SMALL), (f"{size / 2**30:g} GiB", size)):
            file = work / "file.bin"
            digest = _write_random(file, length)
            repo = f"bench/m{length}"
            with Memory(pid) as up:
                seconds_up = _client(client, str(file), repo, "", "up")["seconds"]
            file.unlink()
            with Memory(pid) as down:
                fetched = _client(client, "", repo, str(work / "cache"), "down")
            is_same = _digest(Path(fetched["path"])) == digest
            is_good &= is_same
            shutil.rmtree(work / "cache")
            growths[label] = (up.growth, down.growth)
            print(
                f"{way} {label:>7}: up {length / seconds_up / 1e6:6.0f} MB/s, memory +{up.growth // MEBIBYTE} MiB; "
                f"down {length / fetched['seconds'] / 1e6:6.0f} MB/s, memory +{down.growth // MEBIBYTE} MiB; "
                f"peak {max(up.peak, down.peak) // MEBIBYTE} MiB; {'same bytes' if is_same else 'CHANGED'}",
                flush=True,
            )
        (small_up, small_down), (large_up, large_down) = growths.values()
        is_good &= max(large_up - small_up, large_down - small_down) < _TOLERATED
    shutil.rmtree(work)
    return is_good


@contextlib.contextmanager
def _hub(data: Path) -> Iterator[tuple[str, int, str]]:
    run = _command(data)
    run("db", "upgrade")
    run("people", "add", "bench", "--email", "bench@example.org", "--password-stdin", stdin="correct horse battery\n")
    token = run("tokens", "issue", "bench", "--role", "write", "--label", "bench").strip()
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "GATEKEEPER_DATA_DIR": str(data),
        "GATEKEEPER_PUBLIC_URL": address,
        "GATEKEEPER_INFERENCE_URL": "off",
    }
    command = [sys.executable, "-m", "gatekeeper", "serve", "--port", str(port)]
    with _server(command, environment, port, "/healthz") as pid:
        yield address, pid, token


def _client(environment: dict[str, str], *arguments: str) -> dict[str, object]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, *arguments],
        env={**kept, **environment, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the client failed: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _write_random(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, 16 * MEBIBYTE):
            piece = os.urandom(min(16 * MEBIBYTE, size - start))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main()
