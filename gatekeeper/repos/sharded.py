"""The headers of a model in several safetensors files, found by its index, without reading a tensor."""

import asyncio
import json
import struct
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.errors import EntryNotFound, Invalid, TooLarge
from gatekeeper.repos import lfs, listing
from gatekeeper.repos.safetensors_header import MAX_HEADER_BYTES
from gatekeeper.repos.storage import Store, object_key
from gatekeeper.repos.tables import Repo

_MAX_INDEX_BYTES = 64 * 2**20
_MAX_SHARDS = 1_000
_MAX_TOTAL_BYTES = 128 * 2**20


async def index(s: AsyncSession, store: Store, repo: Repo, commit: str, path: str) -> tuple[Any, dict[str, str]]:
    """The `metadata` of an index file, and the path of each file that it names, by that name.

    Raises EntryNotFound, and Invalid for a file that is no index.
    """
    try:
        found = json.loads(await _read(s, store, repo, commit, path, 0, _MAX_INDEX_BYTES))
        names = sorted({str(name) for name in found["weight_map"].values()})
        metadata = found.get("metadata")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Invalid(f"{path} is no index of safetensors files.", next_step="Name one with a `weight_map`.") from None
    if len(names) > _MAX_SHARDS:
        raise TooLarge(f"The index names more than {_MAX_SHARDS} files.", next_step="Read their headers one by one.")
    folder = PurePosixPath(path).parent
    return metadata, {name: str(folder / name) for name in names}


async def headers(s: AsyncSession, store: Store, repo: Repo, commit: str, paths: dict[str, str]) -> dict[str, Any]:
    """The header of each file, by the names given to them. Raises EntryNotFound, Invalid, TooLarge."""
    made: dict[str, Any] = {}
    left = _MAX_TOTAL_BYTES
    for name, path in paths.items():
        start = await _read(s, store, repo, commit, path, 0, 8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= MAX_HEADER_BYTES:
            raise Invalid(f"{path} is no safetensors file.", next_step="Correct the index or the file.")
        left -= length
        if left < 0:
            raise TooLarge("The headers are too long together.", next_step="Read them one by one.")
        try:
            made[name] = json.loads(await _read(s, store, repo, commit, path, 8, 8 + length))
        except (ValueError, RecursionError):
            raise Invalid(f"{path} is no safetensors file.", next_step="Correct the file.") from None
    return made


async def _read(s: AsyncSession, store: Store, repo: Repo, commit: str, path: str, start: int, end: int) -> bytes:
    """The bytes of a file from `start` up to `end`, or to its own."""
    entry = await listing.find_entry(s, repo, commit, path)
    if entry is None or entry.type != "file":
        raise EntryNotFound(f"{path} does not exist in this revision.", next_step="Check its name.")
    if entry.lfs is None:
        return (await listing.read_blob(s, repo, entry.oid))[start:end]
    if not await lfs.has(s, repo, entry.lfs.sha256):
        raise EntryNotFound(f"The content of {path} was deleted.", next_step="Take another revision.")
    return await asyncio.to_thread(_read_stored, store, entry.lfs.sha256, start, min(end, entry.lfs.size))


def _read_stored(store: Store, sha256: str, start: int, end: int) -> bytes:
    with store.open(object_key(sha256)) as file:
        file.seek(start)
        return file.read(max(0, end - start))
