"""The way into a store: content is hashed while it is written to a local file, and then taken to its place.

Every byte must pass here to be hashed anyway, and a local file costs less than the alternatives: no slow sender holds
a transfer to the bucket open, wrong content never reaches the place, and sending on can be tried again without the
client. Blocking work happens in threads, in pieces of 4 MiB, so that a change of thread costs nothing against the
write.
"""

import asyncio
import errno
import hashlib
import io
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from gatekeeper.errors import Invalid, TooLarge, Unavailable
from gatekeeper.kit.ids import new_id
from gatekeeper.repos.storage.keys import Key, object_key

BATCH_BYTES = 4 * 2**20
CHUNK_BYTES = 2**20
_STALE_SECONDS = 24 * 3600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Landing(Protocol):
    """Takes one finished local file to its place in a store."""

    async def approach(self, file: Path, size: int) -> None:
        """Bring the content near, so that taking it to its place needs no time."""

    async def place(self, file: Path, size: int, key: Key, *, replaces: bool) -> None:
        """Make the content visible under `key`, at once and durably. Called once.

        replaces  whether what lies there must give way: else it is the same content, and may stay
        """

    async def leave(self) -> None:
        """Take away what `approach` brought."""


class Staged:
    """Content on its way into the store, hashed as it is written."""

    def __init__(self, path: Path, landing: Landing, limit: int | None) -> None:
        self._path = path
        self._landing = landing
        self._limit = limit
        with disk():
            self._file: io.FileIO | None = io.FileIO(path, "xb")
        # A cancelled request leaves its thread writing while the file is being dropped. Closing under it could hand the
        # descriptor's number to another upload, and this one's bytes to that one's file.
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._is_sealed = False
        self.size = 0

    async def write(self, piece: bytes) -> None:
        """Take the next bytes. Raises TooLarge beyond the limit, Unavailable (507) when the disk is full.

        One batch is hashed and written in a thread while the next one arrives, so a failure may be told one late.
        """
        self._count(len(piece))
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= BATCH_BYTES:
            await self._written()
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._writing = asyncio.create_task(asyncio.to_thread(self._put, waiting))

    def write_here(self, pieces: Iterable[bytes]) -> None:
        """Take `pieces` in the calling thread: for content that is made by blocking work, such as decoding."""
        for piece in pieces:
            self._count(len(piece))
            self._put([piece])

    async def digest(self) -> str:
        """SHA-256 of what was written so far."""
        await self._flush()
        return self._hash.hexdigest()

    async def keep(self, *, sha256: str | None = None, size: int | None = None) -> str:
        """Make the content visible and return its digest; raises Invalid (422) if it is not what was announced."""
        digest = await self.digest()
        if size is not None and size != self.size:
            raise Invalid(
                f"{self.size} bytes arrived, {size} were announced.", status=422, next_step="Send the whole file again."
            )
        if sha256 is not None and sha256 != digest:
            raise Invalid(
                "The content does not have the SHA-256 that was announced.", status=422, next_step="Send it again."
            )
        await self._seal()
        await self._landing.place(self._path, self.size, object_key(digest), replaces=False)
        return digest

    async def sync(self) -> None:
        """Bring the content close to its place, so that keeping it later takes no time. Nothing can be added then."""
        await self._seal()
        await self._landing.approach(self._path, self.size)

    async def keep_as(self, key: Key) -> None:
        """Make the content visible under `key`: for content whose own hash the caller has verified."""
        await self._seal()
        await self._landing.place(self._path, self.size, key, replaces=True)

    async def discard(self) -> None:
        """Drop what was not kept."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        await asyncio.to_thread(self._drop)
        await self._landing.leave()

    def _count(self, length: int) -> None:
        self.size += length
        if self._limit is not None and self.size > self._limit:
            raise TooLarge(
                f"More than the {self._limit} bytes that were announced or are allowed arrived.",
                next_step="Announce its true size.",
            )

    async def _flush(self) -> None:
        await self._written()
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            await asyncio.to_thread(self._put, waiting)

    async def _written(self) -> None:
        """Wait for the batch that is being written. A cancelled caller leaves it to `discard`."""
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    async def _seal(self) -> None:
        """The file is complete: flush it to disk and close it."""
        if not self._is_sealed:
            await self._flush()
            await asyncio.to_thread(self._close)
            self._is_sealed = True

    def _put(self, pieces: Iterable[bytes]) -> None:
        with self._lock, disk():
            file = self._require_file()
            for piece in pieces:
                self._hash.update(piece)
                _write_all(file, piece)

    def _close(self) -> None:
        with self._lock, disk():
            file = self._require_file()
            os.fsync(file.fileno())
            file.close()
            self._file = None

    def _drop(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._path.unlink(missing_ok=True)

    def _require_file(self) -> io.FileIO:
        if self._file is None:
            raise ValueError("this content was kept or dropped already")
        return self._file


@asynccontextmanager
async def staged(folder: Path, landing: Landing, *, limit: int | None) -> AsyncIterator[Staged]:
    """A writer in `folder`. Whatever was not kept when it closes is gone."""
    made = await asyncio.to_thread(Staged, folder / new_id(), landing, limit)
    try:
        yield made
    finally:
        # Shielded, so that a cancelled request (a client that went away) leaves nothing behind either.
        await asyncio.shield(made.discard())


def prepare(folder: Path) -> None:
    """Make a staging directory and drop what broken uploads left more than a day ago."""
    folder.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - _STALE_SECONDS
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def is_writable(*folders: Path) -> bool:
    """Whether the directories exist and take writes."""
    return all(os.access(folder, os.W_OK | os.X_OK) for folder in folders)


@contextmanager
def disk() -> Iterator[None]:
    """Around writes: a full disk becomes an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(
                "The hub's storage is full, so nothing was stored.",
                status=507,
                code="StorageFull",
                next_step="Tell the operator of this hub, and send the file again once there is room.",
            ) from error
        raise


def _write_all(file: io.FileIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]
