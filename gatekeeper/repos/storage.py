"""The content-addressed store on a local file system: `<root>/sha256/aa/bb/<hex>`.

Bytes are hashed while they are written to `<root>/staging`, flushed to disk, and renamed into place only once their
size and digest are what was announced: what has a name in the store is complete and verified, whenever the power goes.
Blocking work happens in threads, in pieces of 4 MiB, so that a change of thread costs nothing against the write.
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

from gatekeeper.errors import Invalid, TooLarge, Unavailable
from gatekeeper.kit.ids import new_id
from gatekeeper.repos.paths import is_sha256

BATCH_BYTES = 4 * 2**20
CHUNK_BYTES = 2**20
_STALE_STAGING_SECONDS = 24 * 3600
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Store:
    """Where large content lies. One interface for every place; this one is a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._staging = root / "staging"

    def prepare(self) -> None:
        """Make the directories and drop what broken uploads left more than a day ago. Called once at start."""
        self._staging.mkdir(parents=True, exist_ok=True)
        (self.root / "sha256").mkdir(exist_ok=True)
        oldest = time.time() - _STALE_STAGING_SECONDS
        for path in self._staging.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def is_writable(self) -> bool:
        """Whether uploads can be staged here: the directories exist and take writes."""
        return all(os.access(folder, os.W_OK | os.X_OK) for folder in (self.root, self._staging))

    def path(self, sha256: str) -> Path:
        """Where content with this digest lies, or would lie. Raises ValueError for anything but 64 hex digits."""
        if not is_sha256(sha256):
            raise ValueError("not a SHA-256 in lower-case hex")
        return self.root / "sha256" / sha256[:2] / sha256[2:4] / sha256

    def xorb_path(self, place: str, xorb_hash: str) -> Path:
        """Where a xorb lies, in the folder that its row names. Neither comes from a request as it stands."""
        if not is_sha256(xorb_hash) or not place.isalnum():
            raise ValueError("not the name of a xorb")
        return self.root / "xorbs" / place / xorb_hash[:2] / xorb_hash

    async def size(self, sha256: str) -> int | None:
        """Size in bytes of stored content, or None when it is not there."""
        try:
            return (await asyncio.to_thread(self.path(sha256).stat)).st_size
        except FileNotFoundError:
            return None

    async def open_range(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces of at most 1 MiB."""
        file = await asyncio.to_thread(self.path(sha256).open, "rb")
        try:
            await asyncio.to_thread(file.seek, start)
            left = float("inf") if end is None else end - start
            while left > 0 and (piece := await asyncio.to_thread(file.read, int(min(left, CHUNK_BYTES)))):
                left -= len(piece)
                yield piece
        finally:
            file.close()

    async def digest(self, sha256: str) -> str | None:
        """The digest of what really lies under `sha256`, read again from disk; None when nothing does."""

        def read() -> str | None:
            try:
                with self.path(sha256).open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return None

        return await asyncio.to_thread(read)

    @asynccontextmanager
    async def stage(self, *, limit: int | None = None) -> AsyncIterator["Staged"]:
        """A writer for new content of at most `limit` bytes. Whatever was not kept when it closes is gone."""
        staged = await asyncio.to_thread(Staged, self, self._staging / new_id(), limit)
        try:
            yield staged
        finally:
            # Shielded, so that a cancelled request (a client that went away) leaves nothing behind either.
            await asyncio.shield(asyncio.to_thread(staged.discard))

    async def add_bytes(self, content: bytes) -> str:
        """Store `content` and return its digest."""
        async with self.stage() as staged:
            await staged.write(content)
            return await staged.keep()


class Staged:
    """Content on its way into the store, hashed as it is written."""

    def __init__(self, store: Store, path: Path, limit: int | None) -> None:
        self._store = store
        self._path = path
        self._limit = limit
        with _disk():
            self._file: io.FileIO | None = io.FileIO(path, "xb")
        # A cancelled request leaves its thread writing while the file is being dropped. Closing under it could hand the
        # descriptor's number to another upload, and this one's bytes to that one's file.
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.size = 0

    async def write(self, piece: bytes) -> None:
        """Take the next bytes. Raises TooLarge beyond the limit, Unavailable (507) when the disk is full."""
        self._count(len(piece))
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= BATCH_BYTES:
            await self._flush()

    def write_here(self, pieces: Iterable[bytes]) -> None:
        """Take `pieces` in the calling thread: for content that is made by blocking work, such as decoding."""
        for piece in pieces:
            self._count(len(piece))
            self._put([piece])

    async def keep(self, *, sha256: str | None = None, size: int | None = None) -> str:
        """Make the content visible and return its digest; raises Invalid (422) if it is not what was announced."""
        await self._flush()
        digest = self._hash.hexdigest()
        if size is not None and size != self.size:
            raise Invalid(
                f"{self.size} bytes arrived, {size} were announced.", status=422, next_step="Send the whole file again."
            )
        if sha256 is not None and sha256 != digest:
            raise Invalid(
                "The content does not have the SHA-256 that was announced.", status=422, next_step="Send it again."
            )
        await asyncio.to_thread(self._publish, self._store.path(digest))
        return digest

    async def sync(self) -> None:
        """Flush the content to disk, so that keeping it later takes no time."""
        await self._flush()
        await asyncio.to_thread(self._sync)

    async def keep_as(self, path: Path) -> None:
        """Make the content visible at `path` in the store: for content whose own hash the caller has verified."""
        await self._flush()
        await asyncio.to_thread(self._publish, path)

    def discard(self) -> None:
        """Drop what was not kept."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
                self._path.unlink(missing_ok=True)

    def _count(self, length: int) -> None:
        self.size += length
        if self._limit is not None and self.size > self._limit:
            raise TooLarge(
                f"More than the {self._limit} bytes that were announced or are allowed arrived.",
                next_step="Announce its true size.",
            )

    async def _flush(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            await asyncio.to_thread(self._put, waiting)

    def _put(self, pieces: Iterable[bytes]) -> None:
        with self._lock, _disk():
            file = self._require_file()
            for piece in pieces:
                self._hash.update(piece)
                _write_all(file, piece)

    def _sync(self) -> None:
        with self._lock, _disk():
            os.fsync(self._require_file().fileno())

    def _publish(self, target: Path) -> None:
        with self._lock, _disk():
            file = self._require_file()
            os.fsync(file.fileno())
            for folder in _make_folders(target.parent, self._store.root):
                _sync_folder(folder)
            self._path.replace(target)
            file.close()
            self._file = None
            _sync_folder(target.parent)

    def _require_file(self) -> io.FileIO:
        if self._file is None:
            raise ValueError("this content was kept or dropped already")
        return self._file


def _write_all(file: io.FileIO, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


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


@contextmanager
def _disk() -> Iterator[None]:
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
