"""What a provider publishes: its endpoints and its keys, fetched when needed and kept in memory for a while."""

import time
from typing import Any

import httpx2
import structlog
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gatekeeper.accounts.oidc.providers import Provider, is_safe_address
from gatekeeper.errors import Unavailable

METADATA_SECONDS = 3600
KEYS_SECONDS = 3600
KEYS_AGAIN_SECONDS = 30  # anybody may send a token with an unknown key: that must not become a flood of requests
_TIMEOUT_SECONDS = 10
_LARGEST = 2**20
_REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_ADDRESSES = (*_REQUIRED, "userinfo_endpoint", "end_session_endpoint")

_log = structlog.get_logger("gatekeeper.oidc")


class Remote:
    """One provider as it is reached over the network.

    http  made for each visit, so that tests can put a provider in its place; redirects are never followed
    """

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @property
    def known(self) -> dict[str, Any] | None:
        """The discovery document as it was last fetched, None before that. Asks nobody."""
        return self._metadata[1] if self._metadata else None

    async def metadata(self) -> dict[str, Any]:
        """Its discovery document, checked. Raises Unavailable when it does not answer, or not as it must."""
        if self._metadata is None or time.monotonic() - self._metadata[0] > METADATA_SECONDS:
            found = await self.fetch(get_well_known_url(self.provider.issuer, external=True))
            self._check(found)
            self._metadata = (time.monotonic(), found)
        return self._metadata[1]

    async def keys(self, kid: str | None) -> KeySet:
        """Its keys, fetched again when `kid` is none of them or they are old. Raises Unavailable."""
        if self._keys is not None:
            age = time.monotonic() - self._keys[0]
            is_known = kid is None or any(key.kid == kid for key in self._keys[1])
            if age < (KEYS_SECONDS if is_known else KEYS_AGAIN_SECONDS):
                return self._keys[1]
        found = await self.fetch((await self.metadata())["jwks_uri"])
        try:
            keys = KeySet.import_key_set({"keys": [key for key in found["keys"] if key.get("use", "sig") == "sig"]})
        except (JoseError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise self.broken("its keys cannot be read") from error
        self._keys = (time.monotonic(), keys)
        return keys

    async def fetch(self, address: str, **headers: str) -> dict[str, Any]:
        """A JSON object from one of its addresses. Raises Unavailable."""
        try:
            async with self.client() as client, client.stream("GET", address, headers=headers) as answer:
                if answer.status_code != 200:
                    raise self.broken(f"it answered {answer.status_code}")
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > _LARGEST:
                        raise self.broken("its answer is too large")
                value = httpx2.Response(200, content=body).json()
        except httpx2.HTTPError as error:
            raise self.broken("it does not answer") from error
        except ValueError as error:
            raise self.broken("its answer is no JSON") from error
        if not isinstance(value, dict):
            raise self.broken("its answer is no JSON object")
        return value

    def client(self) -> httpx2.AsyncClient:
        """A client for one visit."""
        return httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False)

    def broken(self, why: str) -> Unavailable:
        """What to raise when the provider is at fault; the reason goes to the operator's log."""
        _log.warning("an identity provider failed", provider=self.provider.name, why=why)
        return Unavailable(
            f"{self.provider.title} cannot be reached, or does not answer as it should.",
            next_step="Try again in a minute. If it stays so, tell the administrators of this hub.",
            code="ProviderUnavailable",
        )

    def _check(self, found: dict[str, Any]) -> None:
        """Only the issuer that was configured is believed: a document that names another could be anybody's."""
        if found.get("issuer") != self.provider.issuer:
            raise self.broken("its discovery document names another issuer")
        try:
            OpenIDProviderMetadata(found).validate_issuer()
        except ValueError as error:
            raise self.broken("its discovery document is not valid") from error
        for name in _ADDRESSES:
            address = found.get(name)
            if (address is None and name in _REQUIRED) or (
                address is not None and not (isinstance(address, str) and is_safe_address(address.partition("?")[0]))
            ):
                raise self.broken(f"its {name} is missing or not safe")
