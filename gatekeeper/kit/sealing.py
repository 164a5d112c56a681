"""Text that a database may hold but nobody may read in it: sealed with AES-256-GCM under a key from a file."""

import base64
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gatekeeper.kit.canonical import canonical_json

_NONCE_BYTES = 12
_PREFIX = "v1."


class Box:
    """Seals and opens short texts. `purpose` is bound in: what was sealed for one row does not open for another."""

    def __init__(self, key: bytes) -> None:
        """key  32 bytes"""
        self._cipher = AESGCM(key)
        self._binding = hmac.digest(key, b"gatekeeper commitment", "sha256")

    def seal(self, text: str, *, purpose: str) -> str:
        """`text`, unreadable without the key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())).decode()

    def commit(self, text: str, *, purpose: str) -> str:
        """A digest that binds to `text` for whoever has the key, and tells nothing about it to whoever has not.

        Compatibility: stands in sealed evidence, so this form never changes.
        """
        return hmac.digest(self._binding, canonical_json([purpose, text]), "sha256").hex()

    def open(self, sealed: str, *, purpose: str) -> str:
        """What was sealed. Raises ValueError for anything else."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise ValueError("this was not sealed with this key for this purpose") from error
