"""A store keeps what was announced and nothing else, in a directory and in a bucket alike."""

import asyncio
import errno
import hashlib
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import pytest

from gatekeeper.errors import Invalid, TooLarge, Unavailable
from gatekeeper.repos.storage import BATCH_BYTES, BucketStore, DirectoryStore, Key, Store, object_key, xorb_key
from gatekeeper.repos.storage import bucket as bucket_module
from tests.gatekeeper.repos.conftest import put

pytestmark = pytest.mark.anyio

CONTENT = os.urandom(5_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = object_key(SHA256)
LARGE = os.urandom(bucket_module.PART_BYTES + 1_000_000)  # more than one request to a bucket


async def keys(store: Store) -> list[Key]:
    """All that lies in the store, wherever it is on its way."""
    return [lying.key for folder in ("sha256", "xorbs", "staging", "cleaning") async for lying in store.listing(folder)]


def on_the_way(store: Store) -> list[Path]:
    return [path for path in store.staging.rglob("*") if path.is_file()]


async def read(store: Store, key: Key, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, end)])


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to write beyond `size` bytes of a file, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_content_is_kept_under_its_digest(any_store: Store) -> None:
    async with any_store.stage() as staged:
        for start in range(0, len(CONTENT), 70_000):
            await staged.write(CONTENT[start : start + 70_000])
        assert await staged.keep(sha256=SHA256, size=len(CONTENT)) == SHA256

    assert await keys(any_store) == [KEY]
    assert on_the_way(any_store) == []
    assert KEY.split("/") == ["sha256", SHA256[:2], SHA256[2:4], SHA256]
    assert await read(any_store, KEY) == CONTENT
    assert await any_store.size(KEY) == len(CONTENT)
    assert await any_store.digest(KEY) == SHA256


async def test_large_content_is_kept_whole(any_store: Store) -> None:
    sha256 = await put(any_store, LARGE, size=len(LARGE))
    assert await any_store.digest(object_key(sha256)) == sha256 == hashlib.sha256(LARGE).hexdigest()
    assert await put(any_store, LARGE) == sha256  # and may arrive once more
    assert await keys(any_store) == [object_key(sha256)]


async def test_content_is_read_in_ranges(any_store: Store) -> None:
    await put(any_store, CONTENT)
    for start, end in [(0, None), (0, 10), (4_999_999, None), (1_000_000, 3_500_000), (10, 10)]:
        pieces = [piece async for piece in any_store.read(KEY, start, end)]
        assert b"".join(pieces) == CONTENT[start:end]
        assert all(len(piece) <= 2 * 2**20 for piece in pieces)


async def test_content_is_a_file_for_those_who_need_one(any_store: Store) -> None:
    await put(any_store, CONTENT)

    def look() -> list[bytes | int]:
        with any_store.open(KEY) as file:
            end = file.seek(-10, os.SEEK_END)
            tail = file.read(100)
            file.seek(4_000_000)
            return [end, tail, file.read(7), file.read(3), file.tell()]

    found = await asyncio.to_thread(look)
    assert found == [
        len(CONTENT) - 10,
        CONTENT[-10:],
        CONTENT[4_000_000:4_000_007],
        CONTENT[4_000_007:4_000_010],
        4_000_010,
    ]
    async with any_store.at_hand(KEY) as path:
        assert path.read_bytes() == CONTENT
        assert path.relative_to(any_store.copies).as_posix() == KEY


async def test_what_is_not_there_is_said_to_be_missing(any_store: Store) -> None:
    assert await any_store.size(KEY) is None
    assert await any_store.digest(KEY) is None
    assert await any_store.remove(KEY) is None
    with pytest.raises(FileNotFoundError):
        await read(any_store, KEY)
    with pytest.raises(FileNotFoundError):
        async with any_store.at_hand(KEY):
            pass
    with pytest.raises(FileNotFoundError), any_store.open(KEY):
        pass


@pytest.mark.parametrize(
    "announced", [{"sha256": "0" * 64}, {"size": len(CONTENT) + 1}, {"size": 0}, {"sha256": SHA256, "size": 1}]
)
async def test_content_that_is_not_what_was_announced_leaves_nothing(
    any_store: Store, announced: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as refused:
        await put(any_store, CONTENT, **announced)
    assert refused.value.status == 422
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])


async def test_more_than_the_limit_is_refused_at_once(any_store: Store) -> None:
    with pytest.raises(TooLarge):
        await put(any_store, b"x" * 101, limit=100)
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])
    assert await put(any_store, b"x" * 100, limit=100)


async def test_an_upload_that_is_cut_off_leaves_nothing(any_store: Store) -> None:
    started = asyncio.Event()

    async def upload() -> None:
        async with any_store.stage() as staged:
            await staged.write(CONTENT)
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(upload())
    await started.wait()
    assert len(on_the_way(any_store)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])


async def test_an_upload_that_is_cut_off_while_a_batch_is_written_leaves_nothing(any_store: Store) -> None:
    async def upload() -> None:
        async with any_store.stage() as staged:
            while True:
                await staged.write(bytes(BATCH_BYTES))

    task = asyncio.create_task(upload())
    while not on_the_way(any_store):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])


async def test_batches_are_written_in_their_order(any_store: Store) -> None:
    pieces = [bytes([number]) * (BATCH_BYTES // 2 + number) for number in range(9)]
    async with any_store.stage() as staged:
        for piece in pieces:
            await staged.write(piece)
        assert await staged.digest() == hashlib.sha256(b"".join(pieces)).hexdigest()
        digest = await staged.keep()
    assert await any_store.digest(object_key(digest)) == digest


async def test_a_batch_that_cannot_be_written_fails_the_upload(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def upload() -> None:
        async with any_store.stage() as staged:
            await staged.write(bytes(BATCH_BYTES))
            await staged.digest()
            monkeypatch.setattr("gatekeeper.repos.storage.staging._write_all", full)
            await staged.write(bytes(BATCH_BYTES))
            await staged.keep()

    with pytest.raises(Unavailable):
        await upload()
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])


async def test_a_full_disk_is_said_and_leaves_nothing(any_store: Store) -> None:
    with largest_file(2_000_000), pytest.raises(Unavailable) as refused:
        await put(any_store, CONTENT)
    assert refused.value.status == 507
    assert refused.value.code == "StorageFull"
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])
    assert await put(any_store, CONTENT) == SHA256  # and once there is room, it works again


async def test_content_brought_near_before_a_transaction_takes_its_name_in_it(any_store: Store) -> None:
    key = xorb_key("repo", "a" * 64)
    for content in (b"one form", b"another form of the same chunks"):
        async with any_store.stage() as staged:
            await staged.write(content)
            await staged.sync()
            assert await any_store.size(key) != len(content)
            await staged.keep_as(key)
        assert await read(any_store, key) == content
    assert await keys(any_store) == [key]


async def test_what_was_brought_near_and_not_kept_is_gone(any_store: Store) -> None:
    async with any_store.stage() as staged:
        await staged.write(CONTENT)
        await staged.sync()
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])


async def test_only_what_is_old_enough_is_removed(any_store: Store) -> None:
    await put(any_store, CONTENT)
    [lying] = [lying async for lying in any_store.listing("sha256")]
    assert (lying.key, lying.size, lying.age_seconds < 60) == (KEY, len(CONTENT), True)
    assert await any_store.remove(KEY, older_than_seconds=3600) is None
    assert await any_store.size(KEY) == len(CONTENT)
    assert await any_store.remove(KEY) == len(CONTENT)
    assert (await keys(any_store), on_the_way(any_store)) == ([], [])


@pytest.mark.parametrize("name", ["", "a" * 63, "A" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
async def test_only_digests_name_content(name: str) -> None:
    with pytest.raises(ValueError):
        object_key(name)
    with pytest.raises(ValueError):
        xorb_key("repo", name)
    with pytest.raises(ValueError):
        xorb_key("../repo", "a" * 64)


async def test_a_store_that_can_be_used_says_so(any_store: Store) -> None:
    assert await any_store.is_ready()
    any_store.staging.rmdir()
    assert not await any_store.is_ready()


# In a directory.


async def test_damaged_content_is_replaced_by_a_new_upload(store: DirectoryStore) -> None:
    await put(store, CONTENT)
    store.path(KEY).write_bytes(b"damaged")
    assert await store.digest(KEY) != SHA256
    await put(store, CONTENT)
    assert await store.digest(KEY) == SHA256


async def test_what_broken_uploads_left_is_dropped_after_a_day(store: DirectoryStore) -> None:
    old, new = store.staging / "old", store.staging / "new"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    store.prepare()
    assert (old.exists(), new.exists()) == (False, True)


# In a bucket.


async def test_content_in_a_bucket_is_never_written_over(bucket: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    real = bucket_module.obstore.put_async

    async def put_async(client: Any, key: str, file: Any, **options: Any) -> Any:
        sent.append(options["mode"])
        return await real(client, key, file, **options)

    monkeypatch.setattr(bucket_module.obstore, "put_async", put_async)
    await put(bucket, CONTENT)
    await put(bucket, CONTENT)
    await put(bucket, LARGE)
    await put(bucket, LARGE)
    assert sent == ["create", "create", "overwrite"]  # the large one was looked for first, and the second time found


async def test_old_content_is_renewed_when_it_arrives_again(
    bucket: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(bucket, CONTENT)
    await put(bucket, LARGE)
    monkeypatch.setattr(bucket_module, "_RENEW_SECONDS", -1.0)  # as if half a day had gone by
    before = [lying.age_seconds async for lying in bucket.listing("sha256")]
    await asyncio.sleep(1.1)  # S3 tells whole seconds
    await put(bucket, CONTENT)
    await put(bucket, LARGE)
    after = [lying.age_seconds async for lying in bucket.listing("sha256")]
    assert max(after) < min(before) + 1.1


async def test_who_relies_on_content_waits_for_its_cleaner_and_brings_it_again(
    bucket: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst moment: the look of the cleaner was at the old object, then the same content arrives."""
    await put(bucket, CONTENT)
    real = bucket._look
    arriving: list[asyncio.Task[str]] = []

    async def look(key: Key) -> Any:
        found = await real(key)
        if key == KEY and not arriving:
            arriving.append(asyncio.create_task(put(bucket, CONTENT)))
            await asyncio.sleep(0.5)
        return found

    monkeypatch.setattr(bucket, "_look", look)
    assert await bucket.remove(KEY) == len(CONTENT)
    assert await arriving[0] == SHA256
    assert await bucket.size(KEY) == len(CONTENT)
    assert await keys(bucket) == [KEY]


async def test_a_mark_that_a_dead_cleaner_left_holds_nobody_up_for_long(
    bucket: BucketStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstore.put(bucket._client, f"cleaning/{KEY}", b"")
    monkeypatch.setattr(bucket_module, "_MARK_SECONDS", -1.0)  # as if it had lain there for long
    await put(bucket, CONTENT)
    assert await keys(bucket) == [KEY]


async def test_a_bucket_that_does_not_answer_is_said(bucket: BucketStore, tmp_path: Path) -> None:
    lost = obstore.store.S3Store(
        "gatekeeper",
        config={"endpoint": "http://127.0.0.1:1", "access_key_id": "a", "secret_access_key": "b", "region": "r"},
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    broken = BucketStore(lost, staging=bucket.staging, copies=bucket._copies, is_redirected=True)
    with pytest.raises(Unavailable) as refused:
        await put(broken, CONTENT)
    assert (refused.value.status, refused.value.code) == (503, "StorageUnreachable")
    assert on_the_way(bucket) == []
    assert not await broken.is_ready()


async def test_damaged_content_is_not_handed_to_anybody_as_a_copy(bucket: BucketStore) -> None:
    await put(bucket, CONTENT)
    obstore.put(bucket._client, KEY, CONTENT[:-1] + b"X")
    with pytest.raises(Unavailable, match="damaged"):
        async with bucket.at_hand(KEY):
            pass
    assert [path for path in bucket.copies.rglob("*") if path.is_file()] == []


async def test_copies_stay_within_their_room_and_the_least_used_go_first(bucket: BucketStore) -> None:
    contents = [bytes([letter]) * 100 for letter in range(4)]
    names = [object_key(await put(bucket, content)) for content in contents]
    bucket._copies._limit_bytes = 250

    async def copied(key: Key) -> Path:
        async with bucket.at_hand(key) as path:
            return path

    first, second = await copied(names[0]), await copied(names[1])
    os.utime(first, (time.time() - 100,) * 2)
    os.utime(second, (time.time() - 50,) * 2)
    await copied(names[0])  # used again, so the other one is older now
    third = await copied(names[2])
    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    async with bucket.at_hand(names[2]) as held:
        os.utime(held, (time.time() - 200,) * 2)
        bucket._copies._limit_bytes = 100
        await copied(names[3])
        assert held.exists()  # the oldest, but somebody reads it


async def test_addresses_of_a_bucket_are_given_only_where_the_operator_wants_it(
    bucket: BucketStore, store: DirectoryStore
) -> None:
    await put(bucket, CONTENT)
    address = await bucket.address(KEY)
    assert address is not None
    assert "X-Amz-Expires=60" in address
    closed = BucketStore(bucket._client, staging=bucket.staging, copies=bucket._copies, is_redirected=False)
    assert await closed.address(KEY) is None
    assert await store.address(KEY) is None


async def test_memory_does_not_grow_with_the_size_of_a_file(bucket: BucketStore) -> None:
    piece = os.urandom(2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with bucket.stage() as staged:
        for _ in range(150):
            await staged.write(piece)
        sha256 = await staged.keep()
    assert await bucket.digest(object_key(sha256)) == sha256
    async with bucket.at_hand(object_key(sha256)) as path:
        assert path.stat().st_size == 150 * 2**20
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 100
