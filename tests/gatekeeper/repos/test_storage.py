"""The store keeps what was announced and nothing else."""

import asyncio
import hashlib
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.errors import Invalid, TooLarge, Unavailable
from gatekeeper.repos import Store

pytestmark = pytest.mark.anyio

CONTENT = os.urandom(5_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def files(store: Store) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


async def put(store: Store, content: bytes, *, limit: int | None = None, **announced: Any) -> str:
    async with store.stage(limit=limit) as staged:
        await staged.write(content)
        return await staged.keep(**announced)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond `size` bytes of a file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_content_is_kept_under_its_digest(store: Store) -> None:
    async with store.stage() as staged:
        for start in range(0, len(CONTENT), 70_000):
            await staged.write(CONTENT[start : start + 70_000])
        assert await staged.keep(sha256=SHA256, size=len(CONTENT)) == SHA256

    assert store.path(SHA256).read_bytes() == CONTENT
    assert files(store) == [store.path(SHA256)]
    assert store.path(SHA256).relative_to(store.root).parts == ("sha256", SHA256[:2], SHA256[2:4], SHA256)
    assert await store.size(SHA256) == len(CONTENT)
    assert await store.digest(SHA256) == SHA256


async def test_content_is_read_in_ranges(store: Store) -> None:
    await store.add_bytes(CONTENT)
    for start, end in [(0, None), (0, 10), (4_999_999, None), (1_000_000, 3_500_000), (10, 10)]:
        pieces = [piece async for piece in store.open_range(SHA256, start, end)]
        assert b"".join(pieces) == CONTENT[start:end]
        assert all(len(piece) <= 2**20 for piece in pieces)


@pytest.mark.parametrize(
    "announced", [{"sha256": "0" * 64}, {"size": len(CONTENT) + 1}, {"size": 0}, {"sha256": SHA256, "size": 1}]
)
async def test_content_that_is_not_what_was_announced_leaves_nothing(store: Store, announced: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        await put(store, CONTENT, **announced)
    assert refused.value.status == 422
    assert files(store) == []


async def test_more_than_the_limit_is_refused_at_once(store: Store) -> None:
    with pytest.raises(TooLarge):
        await put(store, b"x" * 101, limit=100)
    assert await put(store, b"x" * 100, limit=100)
    store.path(hashlib.sha256(b"x" * 100).hexdigest()).unlink()
    assert files(store) == []


async def test_an_upload_that_is_cut_off_leaves_nothing(store: Store) -> None:
    started = asyncio.Event()

    async def upload() -> None:
        async with store.stage() as staged:
            await staged.write(CONTENT)
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(upload())
    await started.wait()
    assert len(files(store)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(store) == []


async def test_a_full_disk_is_said_and_leaves_nothing(store: Store) -> None:
    with largest_file(2_000_000), pytest.raises(Unavailable) as refused:
        await put(store, CONTENT)
    assert refused.value.status == 507
    assert refused.value.code == "StorageFull"
    assert files(store) == []
    assert await store.add_bytes(CONTENT) == SHA256  # and once there is room, it works again


async def test_damaged_content_is_replaced_by_a_new_upload(store: Store) -> None:
    await store.add_bytes(CONTENT)
    store.path(SHA256).write_bytes(b"damaged")
    assert await store.digest(SHA256) != SHA256
    await store.add_bytes(CONTENT)
    assert await store.digest(SHA256) == SHA256


async def test_what_broken_uploads_left_is_dropped_after_a_day(store: Store) -> None:
    old, new = store.root / "staging" / "old", store.root / "staging" / "new"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    store.prepare()
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize("name", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
async def test_only_digests_name_content(store: Store, name: str) -> None:
    with pytest.raises(ValueError):
        store.path(name)
