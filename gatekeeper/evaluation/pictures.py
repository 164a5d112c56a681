"""The images of evaluations as files, found by the digest of their bytes."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from gatekeeper.kit.canonical import sha256_hex
from gatekeeper.kit.ids import new_id


class PictureFolder:
    """Where they lie: `<root>/<first two digits>/<sha256>.png`. Digests are ours, so a path is never foreign text."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """The file of one image."""
        return self.root / digest[:2] / f"{digest}.png"

    async def read(self, digest: str) -> bytes:
        """An image. Raises FileNotFoundError."""
        return await asyncio.to_thread(self.path(digest).read_bytes)

    async def write(self, png: bytes) -> str:
        """Keep an image; it is on disk when this returns its digest."""
        return await asyncio.to_thread(self._write, png)

    async def delete(self, digests: Iterable[str]) -> None:
        """Remove images; one that is not there is no matter."""
        await asyncio.to_thread(self._delete, [self.path(digest) for digest in digests])

    def _delete(self, paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    def _write(self, png: bytes) -> str:
        path = self.path(digest := sha256_hex(png))
        if path.is_file():
            return digest
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = path.with_name(f"{digest}.{new_id()}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(png)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        return digest
