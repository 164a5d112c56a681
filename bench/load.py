"""A closed-loop HTTP/1.1 load generator: N connections, each sends its next request when the answer is complete.

    python bench/load.py PORT CONNECTIONS SECONDS < request-bytes      prints one JSON line

Several requests, separated by NUL bytes, are sent in turn. It runs as a process of its own, so that its CPU time is not
counted as the server's. Answers are measured by Content-Length; a HEAD request's answer ends with its headers.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator

import uvloop


class Client(asyncio.Protocol):
    """One connection. Counts answers and remembers how long each took."""

    def __init__(
        self, requests: Iterator[bytes], until: float, latencies: list[float], statuses: dict[str, int]
    ) -> None:
        self.requests, self.until, self.latencies, self.statuses = requests, until, latencies, statuses
        self.is_head = False
        self.buffer = b""
        self.body_left = -1
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        now = time.perf_counter()
        if now >= self.until:
            self.transport.close()
            return
        self.sent_at = now
        request = next(self.requests)
        self.is_head = request.startswith(b"HEAD")
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.body_left >= 0:
            self.body_left -= len(data)
        else:
            self.buffer += data
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            status = head[9:12].decode()
            self.statuses[status] = self.statuses.get(status, 0) + 1
            length = 0
            if not self.is_head and (at := head.find(b"\r\ncontent-length:")) >= 0:
                length = int(head[at + 17 :].split(b"\r\n", 1)[0])
            self.body_left = length - (len(self.buffer) - end - 4)
            self.buffer = b""
        if self.body_left <= 0:
            self.body_left = -1
            self.latencies.append(time.perf_counter() - self.sent_at)
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def run(port: int, connections: int, seconds: float, request: bytes) -> dict[str, object]:
    """Drive the server for `seconds` and report rates (per second), latencies (ms) and statuses."""
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    started = time.perf_counter()
    requests = itertools.cycle(request.split(b"\0"))
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(requests, started + seconds, latencies, statuses), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.closed for client in clients))
    elapsed = time.perf_counter() - started
    latencies.sort()
    return {
        "requests": len(latencies),
        "per_second": round(len(latencies) / elapsed, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2) if latencies else None,
        "worst_ms": round(latencies[-1] * 1000, 2) if latencies else None,
        "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 2) if latencies else None,
        "statuses": statuses,
    }


if __name__ == "__main__":
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    print(json.dumps(uvloop.run(run(port, connections, seconds, sys.stdin.buffer.read()))))
