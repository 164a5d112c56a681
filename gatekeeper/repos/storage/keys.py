"""Names in a store. They are made of verified values only, never of a request as it stands."""

from typing import NewType

from gatekeeper.repos.paths import is_sha256

Key = NewType("Key", str)

OBJECTS = "sha256"
XORBS = "xorbs"
PARTS = "parts"


def object_key(sha256: str) -> Key:
    """Where content with this digest lies, or would lie. Raises ValueError for anything but 64 hex digits."""
    if not is_sha256(sha256):
        raise ValueError("not a SHA-256 in lower-case hex")
    return Key(f"{OBJECTS}/{sha256[:2]}/{sha256[2:4]}/{sha256}")


def xorb_key(place: str, xorb_hash: str) -> Key:
    """Where a xorb lies, in the folder that its row names. Raises ValueError for what cannot be the name of one."""
    if not is_sha256(xorb_hash) or not place.isalnum():
        raise ValueError("not the name of a xorb")
    return Key(f"{XORBS}/{place}/{xorb_hash[:2]}/{xorb_hash}")


def part_key(upload_id: str, number: int, sha256: str) -> Key:
    """Where a part of an upload lies until all are there. Its own digest tells two senders of one part apart."""
    if not is_sha256(sha256) or not upload_id.isalnum():
        raise ValueError("not the name of a part")
    return Key(f"{PARTS}/{upload_id}.{number}.{sha256}")


def digest_of(key: Key) -> str:
    """The SHA-256 in the name of an object. Raises ValueError for other names."""
    kind, _, rest = key.partition("/")
    sha256 = rest.rpartition("/")[2]
    if kind != OBJECTS or not is_sha256(sha256):
        raise ValueError("only objects are named by their SHA-256")
    return sha256
