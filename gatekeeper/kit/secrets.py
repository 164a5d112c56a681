"""Secrets that scanners can recognize and a database never holds in clear."""

import hashlib
import hmac
import secrets as random
import zlib

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_LENGTH = 38  # base 62: 226 bits
_CHECK_LENGTH = 6


def new_secret(prefix: str) -> str:
    """`<prefix>` + 38 random base-62 characters + 6 characters of CRC-32, so a scanner can tell a real one offline."""
    body = "".join(random.choice(_DIGITS) for _ in range(_BODY_LENGTH))
    return prefix + body + _checksum(prefix + body)


def is_well_formed(secret: str, prefix: str) -> bool:
    """Whether `secret` has the form and checksum of `new_secret(prefix)`. Says nothing about validity."""
    if (
        len(secret) != len(prefix) + _BODY_LENGTH + _CHECK_LENGTH
        or not secret.startswith(prefix)
        or not secret.isascii()
    ):
        return False
    return hmac.compare_digest(_checksum(secret[:-_CHECK_LENGTH]), secret[-_CHECK_LENGTH:])


def keyed_hash(key: bytes, secret: str) -> str:
    """HMAC-SHA256 of `secret` under `key`, 64 hex digits: what is stored and looked up instead of the secret."""
    return hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK_LENGTH):
        number, rest = divmod(number, 62)
        digits = _DIGITS[rest] + digits
    return digits
