"""The store in a local directory: `<root>/sha256/aa/bb/<hex>`.

Content is flushed to disk and renamed into place, so it is seen whole or not at all.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from gatekeeper.kit.ids import new_id
from gatekeeper.repos.storage import staging
from gatekeeper.repos.storage.contract import Lying
from gatekeeper.repos.storage.keys import Key
from gatekeeper.repos.storage.staging import CHUNK_BYTES, Staged, disk


class DirectoryStore:
    """A store on this machine's file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def copies(self) -> Path:
        return self.root

    def prepare(self) -> None:
        staging.prepare(self.staging)
        (self.root / "sha256").mkdir(exist_ok=True)

    async def is_ready(self) -> bool:
        return await asyncio.to_thread(staging.is_writable, self.root, self.staging)

    def stage(self, *, limit: int | None = None) -> AbstractAsyncContextManager[Staged]:
        return staging.staged(self.staging, _Renaming(self.root), limit=limit)

    def path(self, key: Key) -> Path:
        return self.root / key

    async def address(self, key: Key) -> str | None:
        return None

    @asynccontextmanager
    async def at_hand(self, key: Key) -> AsyncIterator[Path]:
        if await self.size(key) is None:
            raise FileNotFoundError(key)
        yield self.path(key)

    def open(self, key: Key) -> BinaryIO:
        return self.path(key).open("rb")

    async def read(self, key: Key, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self.path(key).open, "rb")
        try:
            await asyncio.to_thread(file.seek, start)
            left = float("inf") if end is None else end - start
            while left > 0 and (piece := await asyncio.to_thread(file.read, int(min(left, CHUNK_BYTES)))):
                left -= len(piece)
                yield piece
        finally:
            file.close()

    async def size(self, key: Key) -> int | None:
        try:
            return (await asyncio.to_thread(self.path(key).stat)).st_size
        except FileNotFoundError:
            return None

    async def digest(self, key: Key) -> str | None:
        def read() -> str | None:
            try:
                with self.path(key).open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return None

        return await asyncio.to_thread(read)

    async def listing(self, folder: str) -> AsyncIterator[Lying]:
        for found in await asyncio.to_thread(self._listing, folder):
            yield found

    async def remove(self, key: Key, *, older_than_seconds: float = 0) -> int | None:
        return await asyncio.to_thread(self._remove, key, older_than_seconds)

    def _listing(self, folder: str) -> list[Lying]:
        instant = time.time()
        found = []
        for path in sorted((self.root / folder).rglob("*")):
            with suppress(FileNotFoundError):
                if path.is_file():
                    stat = path.stat()
                    key = Key(path.relative_to(self.root).as_posix())
                    found.append(Lying(key, stat.st_size, instant - stat.st_mtime))
        return found

    def _remove(self, key: Key, older_than_seconds: float) -> int | None:
        """An upload may replace the file at any time. Moved aside it cannot be replaced under our hands any more, and
        its age tells whether it is the one that was meant.
        """
        path, aside = self.path(key), self.staging / new_id()
        try:
            path.rename(aside)
        except FileNotFoundError:
            return None
        stat = aside.stat()
        if time.time() - stat.st_mtime < older_than_seconds:
            with suppress(FileExistsError):  # the same content arrived once more
                os.link(aside, path)
            aside.unlink()
            return None
        aside.unlink()
        return stat.st_size


class _Renaming:
    """The staged file itself is moved to its place."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def approach(self, file: Path, size: int) -> None:
        pass  # it lies on the same disk already

    async def place(self, file: Path, size: int, key: Key, *, replaces: bool) -> None:
        await asyncio.to_thread(self._place, file, self._root / key)

    async def leave(self) -> None:
        pass

    def _place(self, file: Path, target: Path) -> None:
        with disk():
            for folder in _make_folders(target.parent, self._root):
                _sync_folder(folder)
            file.replace(target)
            _sync_folder(target.parent)


def _make_folders(folder: Path, root: Path) -> list[Path]:
    """Make `folder` and those above it up to `root`; returns the folders in which a new one appeared."""
    changed: list[Path] = []
    for part in reversed([folder, *(above for above in folder.parents if above.is_relative_to(root))]):
        try:
            part.mkdir()
        except FileExistsError:
            continue
        changed.append(part.parent)
    return changed


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
