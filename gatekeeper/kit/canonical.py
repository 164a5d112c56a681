"""Canonical JSON: the one byte form of a value that is hashed or signed."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any


def canonical_json(value: Any) -> bytes:
    """The UTF-8 bytes of `value`: sorted keys, no blanks, no NaN, text not escaped.

    Signatures and digests made today must verify for good, so this form never changes.
    Instants are written by `instant_text`; other types than JSON's own raise TypeError.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
    ).encode()


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, 64 hex digits."""
    return sha256_hex(canonical_json(value))


def instant_text(instant: datetime) -> str:
    """`2026-01-31T12:00:00.000Z`: UTC, milliseconds, a trailing Z (the only form the Hub's clients parse)."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
