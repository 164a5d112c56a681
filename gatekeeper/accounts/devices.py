"""Browsers in which somebody signed in before. Such a browser's tries are counted apart from everybody else's.

Whoever guesses at an account from elsewhere can use up the tries of all strangers, but not those of its owner. The mark
is signed and kept in a cookie only; it opens nothing.
"""

import hmac

from gatekeeper.kit.ids import new_id
from gatekeeper.kit.secrets import keyed_hash

DAYS = 180
_ID_LENGTH = 26
_LENGTH = _ID_LENGTH + 1 + 64


def mark(person_id: str, *, key: bytes) -> str:
    """A mark for the browser in which this person has just signed in."""
    device_id = new_id()
    return f"{device_id}.{_sign(person_id, device_id, key)}"


def mark_for(person_id: str, given: str, *, key: bytes) -> str:
    """The id of the browser with this mark if it was made for this person, "" otherwise."""
    if len(given) != _LENGTH or not given.isascii():
        return ""
    device_id, _, signature = given.partition(".")
    return device_id if hmac.compare_digest(_sign(person_id, device_id, key), signature) else ""


def _sign(person_id: str, device_id: str, key: bytes) -> str:
    return keyed_hash(key, f"device {person_id} {device_id}")
