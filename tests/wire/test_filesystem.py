"""`HfFileSystem` with its real code: a repository as a file system, for models and data sets."""

import os

import pytest
from huggingface_hub import HfFileSystem

from tests.wire.server import Hub


@pytest.fixture(params=["", "datasets/"], ids=["model", "dataset"])
def root(hub: Hub, name: str, request: pytest.FixtureRequest) -> str:
    """A repository of ada's as the file system names it, with some files."""
    kind = "dataset" if request.param else "model"
    hub.api("ada").create_repo(name, repo_type=kind)
    fs = files(hub)
    fs.pipe_file(f"{request.param}{name}/a.txt", b"hello")
    fs.pipe_file(f"{request.param}{name}/sub/b.txt", b"there")
    return f"{request.param}{name}"


def files(hub: Hub, person: str | None = "ada") -> HfFileSystem:
    return HfFileSystem(endpoint=hub.url, token=hub.tokens[person] if person else False, skip_instance_cache=True)


@pytest.fixture
def fs(hub: Hub) -> HfFileSystem:
    return files(hub)


def test_folders_are_listed_found_and_described(fs: HfFileSystem, root: str) -> None:
    assert sorted(fs.ls(root, detail=False)) == [f"{root}/{name}" for name in (".gitattributes", "a.txt", "sub")]
    assert fs.glob(f"{root}/**/*.txt") == [f"{root}/a.txt", f"{root}/sub/b.txt"]
    assert fs.find(f"{root}/sub") == [f"{root}/sub/b.txt"]
    assert fs.info(f"{root}/a.txt")["size"] == 5
    assert fs.isdir(f"{root}/sub")
    assert fs.isfile(f"{root}/a.txt")
    assert not fs.exists(f"{root}/none")
    assert fs.du(root) >= 10
    with pytest.raises(FileNotFoundError):
        fs.info(f"{root}/none")


def test_files_are_written_read_in_parts_and_by_revision(fs: HfFileSystem, root: str) -> None:
    content = os.urandom(300_000)
    with fs.open(f"{root}/w.bin", "wb") as file:
        file.write(content)
    with fs.open(f"{root}/w.bin", "rb", block_size=2**15) as file:
        file.seek(123_456)
        assert file.read(1000) == content[123_456:124_456]
        file.seek(-7, 2)
        assert file.read() == content[-7:]
    assert fs.cat_file(f"{root}/w.bin", start=10, end=20) == content[10:20]
    with fs.open(f"{root}/w.bin", "rb", block_size=0) as stream:
        assert stream.read(100) == content[:100]
    with fs.open(f"{root}/log.txt", "w") as file:
        file.write("one\n")
    assert fs.read_text(f"{root}/log.txt") == "one\n"
    assert fs.read_text(f"{root}@main/a.txt") == "hello"


def test_files_are_copied_moved_and_removed(fs: HfFileSystem, root: str) -> None:
    fs.pipe_file(f"{root}/w.bin", os.urandom(2000))
    fs.cp_file(f"{root}/w.bin", f"{root}/copy.bin")
    fs.cp_file(f"{root}/a.txt", f"{root}/copy.txt")
    assert fs.cat_file(f"{root}/copy.bin") == fs.cat_file(f"{root}/w.bin")
    fs.mv(f"{root}/copy.txt", f"{root}/sub/moved.txt")
    assert fs.read_text(f"{root}/sub/moved.txt") == "hello"
    fs.rm(f"{root}/copy.bin")
    fs.rm(f"{root}/sub", recursive=True)
    fs.invalidate_cache()
    assert sorted(fs.ls(root, detail=False)) == [f"{root}/{name}" for name in (".gitattributes", "a.txt", "w.bin")]


def test_a_file_is_copied_from_repository_to_repository(hub: Hub, fs: HfFileSystem, root: str, name: str) -> None:
    content = os.urandom(200_000)
    fs.pipe_file(f"{root}/w.bin", content)
    hub.api("bob").create_repo(f"bob/{name.split('/')[1]}")
    there = files(hub, "bob")
    there.cp_file(f"{root}/w.bin", f"bob/{name.split('/')[1]}/taken.bin")
    assert there.cat_file(f"bob/{name.split('/')[1]}/taken.bin") == content


def test_who_may_not_read_or_write_gets_the_usual_errors(hub: Hub, root: str) -> None:
    stranger = files(hub, "eve")
    with pytest.raises((PermissionError, OSError)):
        stranger.pipe_file(f"{root}/x.txt", b"mine now")
    kind = "dataset" if root.startswith("datasets/") else "model"
    hub.api("ada").update_repo_settings(root.removeprefix("datasets/"), private=True, repo_type=kind)
    with pytest.raises(FileNotFoundError):
        files(hub, "eve").ls(root)
    with pytest.raises(FileNotFoundError):
        files(hub, None).cat_file(f"{root}/a.txt")
