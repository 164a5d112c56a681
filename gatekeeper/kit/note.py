"""Signed notes and checkpoints of the C2SP (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), with Ed25519."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from gatekeeper.kit.signing import SigningKey, verify_signature

_ED25519 = b"\x01"  # the algorithm byte of a key's id; others exist and are skipped when reading
_KEY_NAME = re.compile(r"[^\s+]+")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A tree head: whose tree, how many leaves, which root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text: three lines, each ended."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note's text. Raises ValueError when it is no checkpoint; extension lines are allowed."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0] or not _DECIMAL.fullmatch(lines[1]):
            raise ValueError("not a checkpoint: origin, size and root each have a line")
        try:
            root = strict_base64(lines[2])
        except ValueError as error:
            raise ValueError("not a checkpoint: the root is not base64") from error
        if len(root) != 32:
            raise ValueError("not a checkpoint: the root has not 32 bytes")
        return cls(lines[0], int(lines[1]), root)


def sign_note(text: str, key: SigningKey, *, name: str) -> str:
    """`text` (ending in a newline) with the signature of `key` under it."""
    if not text.endswith("\n") or not _KEY_NAME.fullmatch(name):
        raise ValueError("a note ends in a newline, and its key's name has no blanks and no plus")
    signature = key_id(name, key.public) + key.sign(text.encode())
    return f"{text}\n\u2014 {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, public: bytes, *, name: str | None = None) -> str:
    """The text of `note`, if one of its signatures is that of `public`. Raises ValueError otherwise.

    name  the key's name; None takes the one written beside the signature
    """
    text, blank, signatures = note.rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise ValueError("not a signed note")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        match line.split(" "):
            case ["\u2014", signer, encoded] if name is None or signer == name:
                try:
                    raw = strict_base64(encoded)
                except ValueError:
                    continue
                if raw[:4] == key_id(signer, public) and verify_signature(public, text.encode(), raw[4:]):
                    return text
    raise ValueError("the note carries no signature of this key")


def verifier_key(name: str, public: bytes) -> str:
    """The public key in the form that C2SP tools take: `name+id+base64`."""
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def key_id(name: str, public: bytes) -> bytes:
    """The first four bytes of SHA-256 over name, newline, algorithm and key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def strict_base64(text: str) -> bytes:
    """The bytes of `text`, if it is the one usual way to write them: no byte is changed unseen. Raises ValueError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise ValueError("not the usual base64")
    return raw
