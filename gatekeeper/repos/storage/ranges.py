"""Reading from a bucket in threads, and what its failures are called."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from gatekeeper.errors import Unavailable
from gatekeeper.repos.storage.keys import Key


class Ranges(io.RawIOBase):
    """An object as a file, read by ranges. For threads: each read waits for the bucket."""

    def __init__(self, client: S3Store, key: Key, size: int) -> None:
        super().__init__()
        self._client, self._key, self._size, self._at = client, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader passes nothing else
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        with answering():
            piece = obstore.get_range(self._client, self._key, start=self._at, end=end)
        buffer[: len(piece)] = memoryview(piece)
        self._at += len(piece)
        return len(piece)


@contextmanager
def answering() -> Iterator[None]:
    """Around calls to the bucket: one that does not work becomes an error that says so."""
    try:
        yield
    except AlreadyExistsError:
        raise
    except BaseError as error:
        raise unreachable() from error


def unreachable() -> Unavailable:
    return Unavailable(
        "The hub's storage does not answer as it should.",
        code="StorageUnreachable",
        next_step="Try again in a minute, and tell the operator of this hub if it goes on.",
    )
