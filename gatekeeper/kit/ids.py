"""Identifiers that sort by the time they were made."""

import secrets
import time
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


def new_id() -> str:
    """A fresh 26-character id: 48 bits of Unix milliseconds, then 80 random bits (the ULID layout)."""
    return _text((int(time.time() * 1000) << 80) | secrets.randbits(80))


def first_id_at(instant: datetime) -> str:
    """The smallest id that could have been made then: what is older sorts before it."""
    return _text(max(0, int(instant.timestamp() * 1000)) << 80)


def _text(number: int) -> str:
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
