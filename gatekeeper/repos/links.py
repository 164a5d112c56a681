"""Short-lived signed texts: what an upload address or a Xet token says, so that nothing needs to be looked up.

Form: base64url of canonical JSON, a dot, base64url of its HMAC-SHA256 under a key that is different for each purpose.
"""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

from gatekeeper.kit.canonical import canonical_json

_MAX_TEXT = 2_000


def seal(key: bytes, purpose: str, payload: dict[str, Any]) -> str:
    """A signed text that holds `payload`; only `unseal` with the same key and purpose accepts it."""
    body = canonical_json(payload)
    return f"{_encode(body)}.{_encode(_mac(key, purpose, body))}"


def unseal(key: bytes, purpose: str, text: str) -> dict[str, Any] | None:
    """The payload of a text that `seal` made, or None. Says nothing about expiry: the caller compares."""
    if len(text) > _MAX_TEXT or not text.isascii():
        return None
    body_text, _, mac_text = text.partition(".")
    try:
        body, mac = _decode(body_text), _decode(mac_text)
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(mac, _mac(key, purpose, body)):
        return None
    payload: dict[str, Any] = json.loads(body)
    return payload


def _mac(key: bytes, purpose: str, body: bytes) -> bytes:
    return hmac.new(hmac.digest(key, purpose.encode(), "sha256"), body, hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
