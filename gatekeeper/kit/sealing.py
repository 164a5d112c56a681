"""Text that a database may hold but nobody may read in it: sealed with AES-256-GCM under a key from a file."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_PREFIX = "v1."


class Box:
    """Seals and opens short texts. `purpose` is bound in: what was sealed for one row does not open for another."""

    def __init__(self, key: bytes) -> None:
        """key  32 bytes"""
        self._cipher = AESGCM(key)

    def seal(self, text: str, *, purpose: str) -> str:
        """`text`, unreadable without the key."""
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), purpose.encode())).decode()

    def open(self, sealed: str, *, purpose: str) -> str:
        """What was sealed. Raises ValueError for anything else."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise ValueError("this was not sealed with this key for this purpose") from error
