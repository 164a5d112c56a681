"""What every store can do."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from gatekeeper.repos.storage.keys import Key
from gatekeeper.repos.storage.staging import Staged


@dataclass(frozen=True, slots=True)
class Lying:
    """Something that lies in a store. `age_seconds`: since it was written, by the clock of the store."""

    key: Key
    size: int
    age_seconds: float


class Store(Protocol):
    """Where large content lies.

    staging    a local directory for what is on its way, whatever the place
    copies     root of verified local content as `sha256/aa/bb/<hex>`, which the inference process reads

    Every method may raise Unavailable: 507 where the place is full, 503 where it does not answer.
    """

    @property
    def staging(self) -> Path: ...

    @property
    def copies(self) -> Path: ...

    def prepare(self) -> None:
        """Make the directories and drop what broken uploads left more than a day ago. Called once at start."""

    async def is_ready(self) -> bool:
        """Whether uploads can be staged here and the place answers."""

    def stage(self, *, limit: int | None = None) -> AbstractAsyncContextManager[Staged]:
        """A writer for new content of at most `limit` bytes. Whatever was not kept when it closes is gone."""

    def path(self, key: Key) -> Path | None:
        """Where content lies, or would lie, on this machine's disk; None where it lies elsewhere."""

    async def address(self, key: Key) -> str | None:
        """An address from which anybody who has it can read the content for a minute.

        None where bytes go through the hub: from a directory, or because the operator chose so.
        INVARIANT: given only to somebody who may have *all* of this content, after that was decided.
        """

    def at_hand(self, key: Key) -> AbstractAsyncContextManager[Path]:
        """An object as a local file for as long as the context is open. Raises FileNotFoundError.

        A copy is made, and its digest compared, where the content lies elsewhere.
        """

    def open(self, key: Key) -> AbstractContextManager[BinaryIO]:
        """Content to be read and sought in, for blocking work in threads. Raises FileNotFoundError."""

    def read(self, key: Key, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in bounded pieces. Raises FileNotFoundError."""

    async def size(self, key: Key) -> int | None:
        """Size in bytes of stored content, or None when it is not there."""

    async def digest(self, key: Key) -> str | None:
        """SHA-256 of what really lies there, read again; None when nothing does."""

    def listing(self, folder: str) -> AsyncIterator[Lying]:
        """Everything below `folder`, which is `sha256`, `xorbs` or the like, in no order."""

    async def remove(self, key: Key, *, older_than_seconds: float = 0) -> int | None:
        """Remove what was written longer ago than that; its size, or None where it stays or is not there.

        INVARIANT: content that arrives while this runs is never lost: what `Staged.keep` returned for stays.
        """
