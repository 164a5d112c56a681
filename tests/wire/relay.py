"""A relay in front of a hub, for what a hub never does itself: slow lines, leading elsewhere, sending other bytes."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from tests.wire.server import Hub

_DROPPED = {"transfer-encoding", "connection", "content-length", "content-encoding"}


class Relay:
    """Passes requests on to `hub`, as ada.

    pause        seconds between pieces of 256 KiB of a large answer
    leads_to     where large files are to be had instead
    forged       what is sent instead of large files
    asked        the Range headers that came
    credentials  the Authorization headers that came, "" for none
    """

    def __init__(self, hub: Hub, *, forged: bytes = b"") -> None:
        self.hub = hub
        self.pause = 0.05
        self.leads_to = ""
        self.forged = forged
        self.asked: list[str] = []
        self.credentials: set[str] = set()
        relay = self

        class Handler(_Handler):
            owner = relay

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Relay

    def do_GET(self) -> None:
        self._relay("GET")

    def do_POST(self) -> None:
        self._relay("POST")

    def log_message(self, *_: Any) -> None:
        """Nothing: tests look at what came, not at a log."""

    def _relay(self, method: str) -> None:
        owner = self.owner
        owner.credentials.add(self.headers.get("Authorization", ""))
        owner.asked.append(self.headers.get("Range", ""))
        is_large = "/resolve/" in self.path
        if is_large and owner.leads_to:
            return self._send(302, {"Location": owner.leads_to + self.path}, b"")
        if is_large and owner.forged:
            return self._send(200, {}, owner.forged)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kept = {name: value for name, value in self.headers.items() if name.lower() in ("range", "content-type")}
        kept["Authorization"] = f"Bearer {owner.hub.tokens['ada']}"
        with httpx2.Client(base_url=owner.hub.url, trust_env=False, timeout=60) as client:
            answer = client.request(method, self.path, content=body, headers=kept)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _DROPPED}
        return self._send(answer.status_code, headers, answer.content)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            for start in range(0, len(body), 2**18):
                self.wfile.write(body[start : start + 2**18])
                if len(body) > 2**20:
                    time.sleep(self.owner.pause)
        except OSError:
            pass  # the client was killed, as it was meant to be
