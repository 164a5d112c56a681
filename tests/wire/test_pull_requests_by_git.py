"""Pull requests through `git` itself."""

from pathlib import Path

import pytest

from tests.wire.server import Hub
from tests.wire.test_community import WEIGHTS
from tests.wire.test_git import Git, git, url, write

__all__ = ["git"]


@pytest.fixture
def pull(hub: Hub, name: str) -> str:
    """A repository of ada's with a pull request of bob's."""
    ada, bob = hub.api("ada"), hub.api("bob")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=name)
    bob.upload_file(path_or_fileobj=b"bob", path_in_repo="bob.txt", repo_id=name, create_pr=True)
    return name


def test_a_pull_request_is_fetched_added_to_and_merged(hub: Hub, pull: str, git: Git, tmp_path: Path) -> None:
    ada, at = hub.api("ada"), tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", pull), at)
    assert not (at / "bob.txt").exists()
    git("fetch", "-q", "origin", "refs/pr/1:pr/1", at=at)
    git("checkout", "-q", "pr/1", at=at)
    assert (at / "bob.txt").read_bytes() == b"bob"
    write(at, "ada.txt", b"ada")
    git("add", ".", at=at)
    git("commit", "-q", "-m", "And mine", at=at)
    git("push", "-q", "origin", "pr/1:refs/pr/1", at=at)
    events = ada.get_discussion_details(pull, 1).events
    assert [event.type for event in events] == ["commit", "commit"]
    assert events[1].author == "ada"
    for target in (":refs/pr/1", "pr/1:refs/pr/2", "pr/1:refs/pr/01"):
        assert "pull request" in git("push", "origin", target, at=at, ok=False).stderr
    ada.merge_pull_request(pull, 1)
    assert "merged" in _refused(git, at)
    git("checkout", "-q", "main", at=at)
    git("pull", "-q", at=at)
    assert (at / "ada.txt").read_bytes() == b"ada"
    git("fsck", "--strict", at=at)


def test_a_merge_by_hand_makes_it_a_part_of_the_branch(hub: Hub, pull: str, git: Git, tmp_path: Path) -> None:
    at = tmp_path / "clone"
    git("clone", "-q", url(hub, "ada", pull), at)
    git("fetch", "-q", "origin", "refs/pr/1", at=at)
    git("merge", "-q", "FETCH_HEAD", at=at)
    git("push", "-q", "origin", "main", at=at)
    assert hub.api(None).list_repo_files(pull) == [".gitattributes", "bob.txt", "config.json"]
    assert hub.api("bob").get_discussion_details(pull, 1).diff == ""


def test_a_conflict_is_put_right_by_an_owner_as_the_page_says(hub: Hub, pull: str, git: Git, tmp_path: Path) -> None:
    ada, at = hub.api("ada"), tmp_path / "clone"
    ada.upload_file(path_or_fileobj=b"ada", path_in_repo="bob.txt", repo_id=pull)
    ada.upload_file(path_or_fileobj=WEIGHTS + b"main", path_in_repo="new.safetensors", repo_id=pull)
    assert ada.get_discussion_details(pull, 1).conflicting_files == ["bob.txt"]
    git("clone", "-q", url(hub, "ada", pull), at)
    git("fetch", "-q", "origin", "refs/pr/1", at=at)
    git("switch", "-q", "--create", "pr-1", "FETCH_HEAD", at=at)
    assert "CONFLICT" in git("merge", "origin/main", at=at, ok=False).stdout
    write(at, "bob.txt", b"both")
    git("commit", "-q", "--all", "-m", "Both", at=at)
    refused = git("push", "-q", url(hub, "bob", pull), "HEAD:refs/pr/1", at=at, ok=False)
    assert "Without write access" in refused.stderr
    git("push", "-q", "origin", "HEAD:refs/pr/1", at=at)
    assert ada.get_discussion_details(pull, 1).conflicting_files == []
    ada.merge_pull_request(pull, 1)
    git("fetch", "-q", "origin", "main", at=at)
    assert git("show", "FETCH_HEAD:bob.txt", at=at).stdout == "both"
    assert "new.safetensors" in ada.list_repo_files(pull)


def _refused(git: Git, at: Path) -> str:
    write(at, "late.txt", b"late")
    git("add", ".", at=at)
    git("commit", "-q", "-m", "Late", at=at)
    return git("push", "origin", "pr/1:refs/pr/1", at=at, ok=False).stderr
