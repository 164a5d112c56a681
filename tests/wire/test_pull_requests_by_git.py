"""Pull requests through `git` itself."""

from pathlib import Path

import pytest

from tests.wire.server import Hub
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


def _refused(git: Git, at: Path) -> str:
    write(at, "late.txt", b"late")
    git("add", ".", at=at)
    git("commit", "-q", "-m", "Late", at=at)
    return git("push", "origin", "pr/1:refs/pr/1", at=at, ok=False).stderr
