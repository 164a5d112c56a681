"""Directories in and out, manifests, and whether everything is still there."""

import hashlib
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.accounts.principal import Principal
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.kit.canonical import digest_of
from gatekeeper.repos import AddFile, Repo, Store, history, manifest, transfer, verify
from gatekeeper.repos.storage import object_key
from gatekeeper.repos.tables import GitObject
from tests.gatekeeper.repos.conftest import put

pytestmark = pytest.mark.anyio

BIG = b"weights" * 200_000
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "unet").mkdir(parents=True)
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("secret")
    (source / "README.md").write_text("# Demo")
    (source / "unet" / "model.dat").write_bytes(BIG)
    (source / "icon").write_bytes(b"\x89PNG\0")
    (source / "empty.bin").write_bytes(b"")
    return source


async def import_directory(session: AsyncSession, store: Store, repo: Repo, directory: Path, *, by: Principal) -> str:
    prepared = await transfer.prepare(store, directory)
    return await transfer.commit_prepared(session, store, repo, prepared, by=by, summary="Import files")


async def test_a_directory_goes_in_and_comes_out_unchanged(
    session: AsyncSession, repo: Repo, ada: Principal, store: Store, directory: Path, tmp_path: Path
) -> None:
    head = await import_directory(session, store, repo, directory, by=ada)
    listed = {entry.path: entry for entry in await history.tree(session, repo, head, recursive=True)}
    assert {path for path, entry in listed.items() if entry.lfs} == {"unet/model.dat", "icon"}
    assert ".git/config" not in listed

    count = await transfer.export_directory(session, store, repo, head, tmp_path / "out")
    assert count == 5
    for name in ("README.md", "unet/model.dat", "icon", "empty.bin"):
        assert (tmp_path / "out" / name).read_bytes() == (directory / name).read_bytes()
    with pytest.raises(Invalid):
        await transfer.export_directory(session, store, repo, head, tmp_path / "out")


async def test_importing_again_changes_nothing(
    session: AsyncSession, repo: Repo, ada: Principal, store: Store, directory: Path
) -> None:
    head = await import_directory(session, store, repo, directory, by=ada)
    assert await import_directory(session, store, repo, directory, by=ada) == head


async def test_links_and_missing_directories_are_refused(store: Store, directory: Path) -> None:
    with pytest.raises(NotFound):
        await transfer.prepare(store, directory / "nope")
    (directory / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(Invalid, match="is a link"):
        await transfer.prepare(store, directory)


async def test_a_manifest_names_the_bytes_a_reader_gets(
    session: AsyncSession, repo: Repo, ada: Principal, store: Store, directory: Path
) -> None:
    head = await import_directory(session, store, repo, directory, by=ada)
    made = await manifest(session, repo, head)
    rows = {path: (size, sha256) for path, size, sha256 in made.files}
    assert rows["unet/model.dat"] == (len(BIG), BIG_SHA256)
    assert rows["README.md"] == (6, hashlib.sha256(b"# Demo").hexdigest())
    assert [path for path, _, _ in made.files] == sorted(rows)
    assert made.sha256 == digest_of([[path, size, sha256] for path, size, sha256 in made.files])

    later = await history.commit(session, repo, "main", [AddFile("README.md", b"# Demo!")], summary="x", by=ada)
    assert (await manifest(session, repo, later)).sha256 != made.sha256
    assert await manifest(session, repo, head) == made


async def test_verification_finds_what_is_missing_damaged_or_orphaned(
    session: AsyncSession, repo: Repo, ada: Principal, store: Store, directory: Path
) -> None:
    head = await import_directory(session, store, repo, directory, by=ada)
    report = await verify(session, store)
    assert report.is_sound
    assert report.orphaned == []
    assert report.checked_bytes > len(BIG)

    icon = (await history.entry(session, repo, head, "icon")).lfs
    assert icon is not None
    store.path(object_key(icon.sha256)).unlink()
    store.path(object_key(BIG_SHA256)).write_bytes(BIG[:-1] + b"X")
    orphan = await put(store, b"nobody's")
    readme = (await history.entry(session, repo, head, "README.md")).oid
    await session.execute(sa.update(GitObject).where(col(GitObject.object_id) == readme).values(content=b"changed"))

    for report in (await verify(session, store), await verify(session, store, repo)):
        assert report.missing == [f"file {icon.sha256}"]
        assert report.damaged == [f"file {BIG_SHA256}", f"blob {readme}"]
    assert (await verify(session, store)).orphaned == [f"file {orphan}"]
