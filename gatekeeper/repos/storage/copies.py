"""Local copies of objects that lie elsewhere, for readers that need a file: loading a model, scanning.

They lie as `<root>/sha256/aa/bb/<hex>`, as in a store, and are compared with their digest before they get that name.
The least recently used go first when there are more bytes than allowed, but never one that somebody here is reading.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from gatekeeper.errors import Unavailable
from gatekeeper.repos.storage import staging
from gatekeeper.repos.storage.directory import DirectoryStore
from gatekeeper.repos.storage.keys import OBJECTS, Key, digest_of


class Source(Protocol):
    """Where copies are made from."""

    def read(self, key: Key) -> AsyncIterator[bytes]: ...


class Copies:
    """A directory of at most `limit_bytes`, and what is being read."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root
        self._limit_bytes = limit_bytes
        self._lying = DirectoryStore(root)
        self._readers: Counter[Key] = Counter()
        self._locks: dict[Key, asyncio.Lock] = {}

    def prepare(self) -> None:
        """Make the directories and drop what broken transfers left more than a day ago."""
        staging.prepare(self._lying.staging)
        (self.root / OBJECTS).mkdir(exist_ok=True)

    @asynccontextmanager
    async def at_hand(self, source: Source, key: Key) -> AsyncIterator[Path]:
        """The copy of an object, made if it is not there; it stays while the context is open."""
        self._readers[key] += 1
        try:
            lock = self._locks.setdefault(key, asyncio.Lock())
            async with lock:
                if not await asyncio.to_thread(self._touch, key):
                    await self._make(source, key)
                    await asyncio.to_thread(self._shrink)
            yield self._lying.path(key)
        finally:
            self._readers[key] -= 1
            if not self._readers[key]:
                del self._readers[key]
                self._locks.pop(key, None)

    async def _make(self, source: Source, key: Key) -> None:
        async with self._lying.stage() as staged:
            async for piece in source.read(key):
                await staged.write(piece)
            if await staged.digest() != digest_of(key):
                raise Unavailable(
                    "A stored file is damaged, so it is not used.",
                    code="DamagedFile",
                    next_step="Tell the operator of this hub: `gatekeeper repos verify` names it.",
                )
            await staged.keep()

    def _touch(self, key: Key) -> bool:
        """Whether the copy is there; it counts as used now."""
        try:
            os.utime(self._lying.path(key))
        except FileNotFoundError:
            return False
        return True

    def _shrink(self) -> None:
        found = []
        for path in (self.root / OBJECTS).glob("*/*/*"):
            with suppress(FileNotFoundError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        left = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if left <= self._limit_bytes:
                return
            if Key(path.relative_to(self.root).as_posix()) not in self._readers:
                path.unlink(missing_ok=True)
                left -= size
