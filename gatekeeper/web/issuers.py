"""The public keys of those who sign for jobs elsewhere: fetched by discovery, kept for minutes, never from inside.

Only issuers that a maintainer trusts are asked. The way there is that of webhooks: every address is checked at the
moment of connecting, and nothing is followed (`notices.targets`).
"""

import asyncio
import json
import ssl
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpcore2

from gatekeeper.errors import Invalid, Unavailable
from gatekeeper.notices.targets import CheckedNetwork, Refused, Resolve, Rules, resolve
from gatekeeper.tokens.oauth import publishers

_SECONDS = 5
_KEPT_SECONDS = 600
_AGAIN_SECONDS = 30  # a key that is not there is looked for again only after this long
_MOST_BYTES = 256 * 1024
_MOST_ISSUERS = 500


@dataclass
class _Known:
    keys: list[Any] = field(default_factory=list)
    fetched_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Issuers:
    """Keys by issuer. `clock` counts seconds; `tls` is whom to trust, None whom the system does."""

    def __init__(self, rules: Rules, *, resolve: Resolve = resolve, tls: ssl.SSLContext | None = None) -> None:
        self.rules = rules
        self._resolve, self._tls = resolve, tls
        self._known: dict[str, _Known] = {}

    async def keys(self, issuer: str, key_id: str) -> list[Any]:
        """The issuer's keys, with `key_id` among them if it has that. Raises Unavailable where it cannot be asked."""
        known = self._known.get(issuer)
        if known is None:
            if len(self._known) >= _MOST_ISSUERS:
                self._known.clear()
            known = self._known[issuer] = _Known()
        async with known.lock:
            age = time.monotonic() - known.fetched_at
            has = any(isinstance(key, dict) and key.get("kid") == key_id for key in known.keys)
            if age < (_KEPT_SECONDS if has else _AGAIN_SECONDS):
                return known.keys
            known.fetched_at = time.monotonic()
            known.keys = []
            known.keys = await self._fetch(issuer)
            return known.keys

    async def _fetch(self, issuer: str) -> list[Any]:
        document = await self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        address = document.get("jwks_uri")
        if document.get("issuer") != issuer or not isinstance(address, str):
            raise _unavailable()
        try:
            publishers.check_issuer(address, is_http=bool(self.rules.networks))
        except Invalid:
            raise _unavailable() from None
        keys = (await self._get(address)).get("keys")
        return keys[:100] if isinstance(keys, list) else []

    async def _get(self, url: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_SECONDS):
                answer = json.loads(await self._bytes(url))
        except (Refused, OSError, TimeoutError, ValueError, httpcore2.NetworkError, httpcore2.TimeoutException):
            raise _unavailable() from None
        except (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol):
            raise _unavailable() from None
        if not isinstance(answer, dict):
            raise _unavailable()
        return answer

    async def _bytes(self, url: str) -> bytes:
        parts = urlsplit(url)
        network = CheckedNetwork(self.rules, scheme=parts.scheme, resolve=self._resolve)
        headers = [("Host", parts.netloc), ("Accept", "application/json")]
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), float(_SECONDS))
        async with (
            httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=network, max_connections=1) as pool,
            pool.stream("GET", url, headers=headers, extensions={"timeout": timeouts}) as response,
        ):
            if response.status != 200:
                raise ValueError
            body = b""
            async for piece in response.aiter_stream():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise ValueError
            return body


def _unavailable() -> Unavailable:
    return Unavailable("The job's issuer cannot be asked for its keys now.", next_step="Try again in a minute.")
