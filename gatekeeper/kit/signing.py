"""Ed25519 keys: made once, kept in a file only its owner can read."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


class SigningKey:
    """A private key that signs bytes. `public` is the 32-byte public key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def public_text(self) -> str:
        """The public key as standard base64, the form people pass to `receipt verify --key`."""
        return base64.b64encode(self.public).decode()

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message` (RFC 8032)."""
        return self._private.sign(message)

    @classmethod
    def load_or_create(cls, path: Path) -> "SigningKey":
        """The key in `path`, made on first use. Raises ValueError when the file holds something else."""
        raw = secret_file(
            path, lambda: Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        )
        if len(raw) != 32:
            raise ValueError(f"{path} does not hold a 32-byte Ed25519 key")
        return cls(Ed25519PrivateKey.from_private_bytes(raw))


def verify_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is `public`'s over `message`. Malformed keys and signatures are simply not valid."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def secret_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes in `path`; on first use `make()` supplies them and the file is created readable by its owner only.

    Two processes that start at once agree: the loser of the race reads what the winner wrote.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        fresh = _write_beside(path, make())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()


def replace_secret_file(path: Path, content: bytes) -> None:
    """Put `content` in the place of what `path` held, all at once, readable by its owner only."""
    _write_beside(path, content).replace(path)


def _write_beside(path: Path, content: bytes) -> Path:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return fresh
