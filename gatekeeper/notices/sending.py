"""Sending one delivery: signed, without redirects, proxies or cookies, and within limits."""

import asyncio
import hashlib
import hmac
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpcore2

from gatekeeper.notices.targets import CheckedNetwork, Refused, Resolve, Rules, resolve

SECONDS = 10
MOST_RESPONSE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt. `error` is for its owner: no address, no body."""

    status: int | None
    duration_ms: int
    response_bytes: int
    error: str

    @property
    def is_good(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Posts to webhooks' addresses."""

    def __init__(
        self, rules: Rules, *, resolve: Resolve = resolve, seconds: float = SECONDS, tls: ssl.SSLContext | None = None
    ) -> None:
        """tls  whom to trust; None trusts whom the system does"""
        self.rules = rules
        self._resolve, self._seconds, self._tls = resolve, seconds, tls

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """Send `body`; never raises for what a receiver or the network does."""
        begun, size, status, error = time.monotonic(), 0, None, ""
        try:
            async with asyncio.timeout(self._seconds):
                status, size = await self._post(url, headers, body)
        except Refused as refused:
            error = refused.message
        except TimeoutError:
            error = f"No answer within {self._seconds:g} seconds."
        except httpcore2.TimeoutException:
            error = "No connection in time."
        except httpcore2.ConnectError as failure:
            is_tls = isinstance(failure.__cause__, ssl.SSLError) or "CERTIFICATE" in str(failure).upper()
            error = "The certificate or the encryption was not accepted." if is_tls else "The connection was refused."
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ssl.SSLError, OSError):
            error = "The connection broke, or the answer was no HTTP."
        if status is not None and not 200 <= status < 300:
            error = "A redirect, which is not followed." if 300 <= status < 400 else f"The receiver answered {status}."
        return Outcome(status, int((time.monotonic() - begun) * 1000), size, error)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, int]:
        network = CheckedNetwork(self.rules, scheme=urlsplit(url).scheme, resolve=self._resolve)
        pool = httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=network, max_connections=1)
        async with (
            pool,
            pool.stream(
                "POST",
                url,
                headers=[("Host", urlsplit(url).netloc), ("Content-Length", str(len(body))), *headers.items()],
                content=body,
                extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)},
            ) as response,
        ):
            size = 0
            async for piece in response.aiter_stream():
                size += len(piece)
                if size > MOST_RESPONSE_BYTES:
                    break
            return response.status, size


def signature(secret: str, body: bytes, *, at: int) -> str:
    """The value of `X-Gatekeeper-Signature`: HMAC-SHA256 over `<t>.<body>`, with `t` in Unix seconds."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"
