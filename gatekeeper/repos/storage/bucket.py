"""The store in an S3 bucket, which several hub processes and machines may share.

An object is put only after it was hashed locally, with a condition that nothing lies there, so content is never written
over other content; larger ones than a condition can be sent with arrive as a multipart transfer, which S3 shows whole
or not at all, and whose name says what is in it.

Removing what nothing refers to races against somebody who finds the object there and relies on it, and S3 offers no
lock. Both sides therefore leave traces in an order that makes one of them see the other:

    arriving   1. put, or write again what is old   2. wait while a mark lies on the name   3. look that it is there
    removing   1. lay the mark   2. look how old the object is   3. delete it if it is old   4. take the mark away

If the arriving side saw no mark because it was not laid yet, the removing side sees a fresh object and leaves it. If
the mark was taken away already, step 3 of arriving sees what is really there and starts again.
"""

import asyncio
import hashlib
import io
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Literal, cast

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from gatekeeper.errors import Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.kit.ids import new_id
from gatekeeper.repos.storage import staging
from gatekeeper.repos.storage.contract import Lying
from gatekeeper.repos.storage.copies import Copies
from gatekeeper.repos.storage.keys import OBJECTS, XORBS, Key
from gatekeeper.repos.storage.ranges import Ranges, answering, unreachable
from gatekeeper.repos.storage.staging import Staged

ADDRESS_SECONDS = 60
PART_BYTES = 8 * 2**20  # largest object that is put in one request; S3 wants at least 5 MiB for a part
_MOST_PARTS = 9_000  # S3 allows 10,000
_PARTS_AT_ONCE = 4
_READ_BYTES = 2 * 2**20  # of each transfer in memory
_RENEW_SECONDS = 12 * 3600.0  # half of what cleaning up waits: what is older is written again when it arrives again
_MARK_SECONDS = 600.0  # a mark older than this was left by a process that died
_MARK_PAUSE_SECONDS = 0.2
_LONGEST_LOOK_SECONDS = 30.0  # between a look at an object and its removal
_TRIES = 5

# Whatever the bytes are, a browser that opens an address must take them for a file.
_ATTRIBUTES = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}


class BucketStore:
    """A store in a bucket, behind `client`.

    staging       local directory for uploads on their way
    is_redirected whether clients may be sent to the bucket itself for bytes
    """

    def __init__(self, client: S3Store, *, staging: Path, copies: Copies, is_redirected: bool) -> None:
        self._client = client
        self._staging = staging
        self._copies = copies
        self._is_redirected = is_redirected

    @property
    def staging(self) -> Path:
        return self._staging

    @property
    def copies(self) -> Path:
        return self._copies.root

    def prepare(self) -> None:
        staging.prepare(self._staging)
        self._copies.prepare()

    async def is_ready(self) -> bool:
        if not await asyncio.to_thread(staging.is_writable, self._staging):
            return False
        try:
            await self.size(Key("staging/probe"))
        except Unavailable:
            return False
        return True

    def stage(self, *, limit: int | None = None) -> AbstractAsyncContextManager[Staged]:
        return staging.staged(self._staging, _Sending(self), limit=limit)

    def path(self, key: Key) -> Path | None:
        return None

    async def address(self, key: Key) -> str | None:
        if not self._is_redirected:
            return None
        with answering():
            return await obstore.sign_async(self._client, "GET", key, timedelta(seconds=ADDRESS_SECONDS))

    def at_hand(self, key: Key) -> AbstractAsyncContextManager[Path]:
        return self._copies.at_hand(self, key)

    @contextmanager
    def open(self, key: Key) -> Iterator[BinaryIO]:
        with answering():
            size = obstore.head(self._client, key)["size"]
        with io.BufferedReader(Ranges(self._client, key, size), _READ_BYTES) as file:
            yield cast(BinaryIO, file)

    async def read(self, key: Key, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        # A request for each piece: one for everything would be cut off by its time limit when the reader is slow.
        stop = await self._require_size(key) if end is None else end
        while start < stop:
            upto = min(start + _READ_BYTES, stop)
            with answering():
                piece = bytes(await obstore.get_range_async(self._client, key, start=start, end=upto))
            yield piece
            if len(piece) < upto - start:
                return
            start = upto

    async def size(self, key: Key) -> int | None:
        found = await self._look(key)
        return None if found is None else found.size

    async def digest(self, key: Key) -> str | None:
        def read() -> str | None:
            try:
                with self.open(key) as file:
                    made = hashlib.sha256()
                    while piece := file.read(_READ_BYTES):
                        made.update(piece)
                    return made.hexdigest()
            except FileNotFoundError:
                return None

        return await asyncio.to_thread(read)

    async def listing(self, folder: str) -> AsyncIterator[Lying]:
        with answering():
            async for some in obstore.list(self._client, folder):
                for meta in some:
                    yield Lying(Key(meta["path"]), meta["size"], (now() - meta["last_modified"]).total_seconds())

    async def remove(self, key: Key, *, older_than_seconds: float = 0) -> int | None:
        if not key.startswith((f"{OBJECTS}/", f"{XORBS}/")):
            return await self._remove(key, older_than_seconds)  # nobody else knows its name
        mark = _mark(key)
        with answering():
            await obstore.put_async(self._client, mark, b"")
            try:
                return await self._remove(key, older_than_seconds)
            finally:
                await asyncio.shield(obstore.delete_async(self._client, mark))

    async def put(self, file: Path, size: int, key: Key, *, replaces: bool) -> None:
        """Make a local file visible under `key` unless the same content lies there. Durable when this returns."""
        for _ in range(_TRIES):
            if replaces or not await self._lies_fresh(file, size, key):
                await self._send(file, size, key, mode="overwrite")
            if await self._stays(key, size):
                return
        raise unreachable()

    async def copy(self, source: Key, size: int, key: Key) -> None:
        """Make what lies under `source` visible under `key` as well, instead of what lies there."""
        for _ in range(_TRIES):
            with answering():
                await obstore.copy_async(self._client, source, key)
            if await self._stays(key, size):
                return
        raise unreachable()

    async def _lies_fresh(self, file: Path, size: int, key: Key) -> bool:
        """Whether the object is there and will stay; a small one is put on the way."""
        if size <= PART_BYTES:
            try:
                await self._send(file, size, key, mode="create")
                return True
            except AlreadyExistsError:
                pass
        found = await self._look(key)
        return found is not None and found.size == size and found.age_seconds < _RENEW_SECONDS

    async def _send(self, file: Path, size: int, key: Key, *, mode: Literal["create", "overwrite"]) -> None:
        with answering():
            await obstore.put_async(
                self._client,
                key,
                file,
                attributes=_ATTRIBUTES,
                mode=mode,
                chunk_size=max(PART_BYTES, size // _MOST_PARTS + 1),
                max_concurrency=_PARTS_AT_ONCE,
            )

    async def _stays(self, key: Key, size: int) -> bool:
        """Steps 2 and 3 of arriving: whether the object is still there once nobody removes it."""
        mark = _mark(key)
        while (found := await self._look(mark)) is not None:
            if found.age_seconds > _MARK_SECONDS:
                with answering():
                    await obstore.delete_async(self._client, mark)
                break
            await asyncio.sleep(_MARK_PAUSE_SECONDS)
        return await self.size(key) == size

    async def _remove(self, key: Key, older_than_seconds: float) -> int | None:
        looked = time.monotonic()
        found = await self._look(key)
        if found is None or found.age_seconds < older_than_seconds:
            return None
        if time.monotonic() - looked > _LONGEST_LOOK_SECONDS:
            return None  # the look is too old to act on; the next cleaning looks again
        with answering():
            await obstore.delete_async(self._client, key)
        return found.size

    async def _look(self, key: Key) -> Lying | None:
        try:
            with answering():
                meta = await obstore.head_async(self._client, key)
        except FileNotFoundError:
            return None
        return Lying(key, meta["size"], (now() - meta["last_modified"]).total_seconds())

    async def _require_size(self, key: Key) -> int:
        size = await self.size(key)
        if size is None:
            raise FileNotFoundError(key)
        return size


class _Sending:
    """The staged file is sent to the bucket; one that is to be kept in a transaction is sent before that."""

    def __init__(self, store: BucketStore) -> None:
        self._store = store
        self._near: Key | None = None

    async def approach(self, file: Path, size: int) -> None:
        self._near = Key(f"staging/{new_id()}")
        await self._store.put(file, size, self._near, replaces=True)

    async def place(self, file: Path, size: int, key: Key, *, replaces: bool) -> None:
        if self._near is not None:
            await self._store.copy(self._near, size, key)
        else:
            await self._store.put(file, size, key, replaces=replaces)

    async def leave(self) -> None:
        if self._near is not None:
            await self._store.remove(self._near)


def _mark(key: Key) -> Key:
    return Key(f"cleaning/{key}")
