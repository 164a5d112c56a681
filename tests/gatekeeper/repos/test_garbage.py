"""Cleaning up: what nothing refers to goes, and nothing that somebody may be about to refer to."""

import os
import time
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.accounts.principal import Principal
from gatekeeper.accounts.tables import Namespace, Person
from gatekeeper.db import Database
from gatekeeper.kit.clock import now
from gatekeeper.repos import (
    AddLfs,
    Repo,
    RepoKind,
    RepoObject,
    StoredObject,
    catalogue,
    commit,
    garbage,
    lfs,
    verify,
    xet,
)
from gatekeeper.repos.rows import insert_missing
from gatekeeper.repos.storage import BucketStore, DirectoryStore, Store, object_key, xorb_key
from gatekeeper.repos.tables import RepoXorb, StoredXorb, XetChunk, XetFile, XetPart
from gatekeeper.repos.xet import hashes
from gatekeeper.repos.xet.files import Run, pack
from tests.gatekeeper.repos.conftest import put

pytestmark = pytest.mark.anyio
DAY = 24 * 3600
AN_OLD_DAY = now() - timedelta(days=40)


@pytest.fixture
async def place(database: Database) -> tuple[Repo, Principal]:
    async with database.write() as s:
        person = Person(name="ada", name_key="ada", email="a@example.org", email_key="a@example.org")
        s.add(person)
        await s.flush()
        s.add(Namespace(key="ada", name="ada", skeleton="ada", person_id=person.id))
        await s.flush()
        ada = Principal(person_id=person.id, name="ada")
        return await catalogue.create(s, RepoKind.MODEL, "ada", "demo", by=ada), ada


async def upload(database: Database, store: Store, repo: Repo, content: bytes) -> str:
    sha256 = await put(store, content)
    async with database.write() as s:
        await lfs.possess(s, repo, sha256, len(content), person_id=None)
        await s.execute(sa.update(RepoObject).values(uploaded_at=AN_OLD_DAY))
    return sha256


async def put_xorb(database: Database, store: DirectoryStore, repo: Repo, letter: str, **values: object) -> Path:
    path = store.path(xorb_key("shared", letter * 64))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"xorb")
    row = {"xorb_hash": letter * 64, "received_at": AN_OLD_DAY, "renewed_at": AN_OLD_DAY} | values
    async with database.write() as s:
        await insert_missing(s, StoredXorb, [row | {"place": "shared", "size_bytes": 4, "chunks": b""}])
        s.add(RepoXorb(repo_id=repo.id, **row))
    return path


async def make_file(s: AsyncSession, repo: Repo, sha256: str, letter: str) -> None:
    """A file of the repository that is made of the xorb `letter`."""
    raw = hashes.parse_printed(letter * 64)
    assert raw is not None
    s.add(XetFile(repo_id=repo.id, file_hash="a" * 64, sha256=sha256, size_bytes=5, terms=pack([Run(raw, 0, 1, 5)])))
    await s.flush()
    s.add(XetPart(repo_id=repo.id, file_hash="a" * 64, xorb_hash=letter * 64))


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (time.time() - 2 * DAY,) * 2)


async def count(s: AsyncSession, table: type) -> int:
    return await s.scalar(sa.select(sa.func.count()).select_from(table)) or 0


async def test_what_was_never_committed_goes_and_what_was_stays(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, ada = place
    kept, gone = [await upload(database, store, repo, content) for content in (b"kept\0", b"gone\0")]
    age(store.path(object_key(kept)), store.path(object_key(gone)))
    async with database.write() as s:
        await commit(s, repo, "main", [AddLfs("w.bin", kept, 5)], summary="add", by=ada)
        s.add(XetFile(repo_id=repo.id, file_hash="a" * 64, sha256=gone, size_bytes=5, terms=b""))
        s.add(XetChunk(repo_id=repo.id, chunk_hash="b" * 64, xorb_hash="c" * 64, file_hash="a" * 64))

    swept = await garbage.collect(database, store)

    assert (swept.uncommitted, swept.objects, swept.freed_bytes) == (1, 1, 5)
    assert store.path(object_key(kept)).exists()
    assert not store.path(object_key(gone)).exists()
    async with database.read() as s:
        assert [await count(s, table) for table in (RepoObject, StoredObject, XetFile, XetChunk)] == [1, 1, 0, 0]
    assert (await garbage.collect(database, store)) == garbage.Swept()


async def test_what_was_just_promised_to_be_there_stays(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, ada = place
    sha256 = await upload(database, store, repo, b"promised\0")
    age(store.path(object_key(sha256)))
    async with database.write() as s:
        [planned] = await lfs.plan_upload(s, repo, [lfs.Wanted(sha256, 9)], by=ada, limit_bytes=100)
    assert planned.is_stored
    assert (await garbage.collect(database, store)) == garbage.Swept()
    assert store.path(object_key(sha256)).exists()


async def test_the_server_cleans_once_in_so_many_hours(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    async def due(hours: int = 24) -> bool:
        return await garbage.collect_when_due(database, store, hours=hours) is not None

    on_the_first_day = await due()
    async with database.write() as s:
        await s.execute(sa.update(Repo).values(created_at=AN_OLD_DAY))

    assert [on_the_first_day, await due(hours=0), await due(), await due()] == [False, False, True, False]


async def test_a_file_that_waits_for_its_row_stays(database: Database, store: DirectoryStore) -> None:
    fresh, old = [store.path(object_key(await put(store, content))) for content in (b"fresh", b"old")]
    age(old)
    swept = await garbage.collect(database, store)
    assert (swept.objects, fresh.exists(), old.exists()) == (1, True, False)


async def test_a_file_that_arrives_between_look_and_removal_is_put_back(store: DirectoryStore) -> None:
    key = object_key(await put(store, b"arrived again"))  # fresh: the look was at an older one
    path = store.path(key)
    assert await store.remove(key, older_than_seconds=DAY) is None
    assert path.read_bytes() == b"arrived again"
    assert list((store.root / "staging").iterdir()) == []


async def test_xorbs_that_no_file_is_made_of_go_and_a_new_epoch_begins(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, ada = place
    paths = [
        await put_xorb(database, store, repo, "1"),
        await put_xorb(database, store, repo, "2", renewed_at=now() - timedelta(days=2)),
        await put_xorb(database, store, repo, "d"),
    ]
    sha256 = await upload(database, store, repo, b"file\0")
    async with database.write() as s:
        await commit(s, repo, "main", [AddLfs("w.bin", sha256, 5)], summary="add", by=ada)
        await make_file(s, repo, sha256, "d")
    age(*paths)

    swept = await garbage.collect(database, store)

    assert (swept.xorbs, swept.epochs_raised) == (1, 1)
    assert [path.exists() for path in paths] == [False, True, True]
    async with database.read() as s:
        found = await catalogue.by_id(s, repo.id)
        assert found is not None
        assert found.xet_epoch == 2
    assert (await garbage.collect(database, store, xorb_days=1)).xorbs == 1


async def test_a_repository_that_receives_is_left_alone(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, _ = place
    old = await put_xorb(database, store, repo, "1")
    age(old, await put_xorb(database, store, repo, "2", received_at=now()))
    assert (await garbage.collect(database, store)) == garbage.Swept()
    assert old.exists()


async def test_a_deleted_repository_leaves_only_what_others_refer_to(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, ada = place
    async with database.write() as s:
        other = await catalogue.create(s, RepoKind.MODEL, "ada", "other", by=ada)
    shared, own = await upload(database, store, repo, b"shared\0"), await upload(database, store, repo, b"own\0")
    await upload(database, store, other, b"shared\0")
    xorbs = [await put_xorb(database, store, repo, letter) for letter in "12"]
    async with database.write() as s:
        await make_file(s, other, shared, "2")
        await commit(s, other, "main", [AddLfs("w.bin", shared, 7)], summary="add", by=ada)
        found = await catalogue.by_id(s, repo.id)
        assert found is not None
        await catalogue.delete(s, found, by=ada)
    age(store.path(object_key(shared)), store.path(object_key(own)), *xorbs)

    swept = await garbage.collect(database, store)

    assert (swept.objects, swept.xorbs) == (1, 1)
    paths = [store.path(object_key(shared)), store.path(object_key(own)), *xorbs]
    assert [path.exists() for path in paths] == [True, False, False, True]


async def test_a_xorb_that_an_upload_just_relied_on_stays_though_its_repository_was_deleted(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, ada = place
    xorb = await put_xorb(database, store, repo, "1")
    age(xorb)
    async with database.write() as s:
        found = await catalogue.by_id(s, repo.id)
        assert found is not None
        await catalogue.delete(s, found, by=ada)
    async with database.write() as s:
        assert await xet.renew_xorb(s, "another", "1" * 64)  # an upload to another repository names it
    assert (await garbage.collect(database, store)).xorbs == 0
    assert xorb.exists()

    later = now() + timedelta(days=2)
    assert (await garbage.collect(database, store, clock=lambda: later)).xorbs == 1
    async with database.write() as s:
        assert not await xet.renew_xorb(s, "another", "1" * 64)


async def test_bytes_in_the_folder_of_one_repository_serve_all_and_other_copies_go(
    database: Database, store: DirectoryStore, place: tuple[Repo, Principal]
) -> None:
    repo, _ = place
    xorb = await put_xorb(database, store, repo, "1", renewed_at=now())
    old, copy = store.path(xorb_key(repo.id, "1" * 64)), store.path(xorb_key("01OTHER", "1" * 64))
    for path in (old, copy):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"xorb")
    async with database.write() as s:
        await s.execute(sa.update(StoredXorb).values(place=repo.id))
    age(xorb, old, copy)
    assert (await garbage.collect(database, store)).xorbs == 2
    assert [path.exists() for path in (xorb, old, copy)] == [False, True, False]


async def test_what_broken_uploads_left_goes_after_a_day(database: Database, store: DirectoryStore) -> None:
    fresh, old = store.root / "staging" / "fresh", store.root / "staging" / "old"
    for path in (fresh, old):
        path.write_bytes(b"12345")
    age(old)
    swept = await garbage.collect(database, store)
    assert (swept.staged, swept.freed_bytes, fresh.exists(), old.exists()) == (1, 5, True, False)


async def test_a_bucket_is_cleaned_and_verified_as_well(
    database: Database, bucket: BucketStore, place: tuple[Repo, Principal], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, ada = place
    kept, gone, damaged, lost = [
        await upload(database, bucket, repo, content) for content in (b"kept\0", b"gone\0", b"right\0", b"lost\0")
    ]
    orphan = object_key(await put(bucket, b"orphan\0"))
    async with bucket.stage() as staged:
        await staged.write(b"no row names this")
        await staged.keep_as(xorb_key(repo.id, "1" * 64))
    async with database.write() as s:
        named = [AddLfs("kept.bin", kept, 5), AddLfs("damaged.bin", damaged, 6), AddLfs("lost.bin", lost, 5)]
        await commit(s, repo, "main", named, summary="add", by=ada)
    obstore.put(bucket._client, object_key(damaged), b"wrong\0")
    await bucket.remove(object_key(lost))

    async with database.read() as s:
        report = await verify(s, bucket)
    assert report.missing == [f"file {lost}"]
    assert report.damaged == [f"file {damaged}"]
    assert report.orphaned == [f"file {orphan.rpartition('/')[2]}", f"xorb {'1' * 64}"]

    first = await garbage.collect(database, bucket)
    assert (first.uncommitted, first.freed_bytes) == (1, 0)  # every file may be about to get its row
    monkeypatch.setattr(garbage, "_FRESH_SECONDS", 0.0)  # as if a day had gone by
    swept = await garbage.collect(database, bucket)
    assert (swept.uncommitted, swept.objects, swept.xorbs) == (0, 2, 1)
    left = {lying.key for folder in ("sha256", "xorbs", "cleaning") async for lying in bucket.listing(folder)}
    assert left == {object_key(kept), object_key(damaged)}
    assert gone not in {key.rpartition("/")[2] for key in left}
