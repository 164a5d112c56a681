"""Discussions and pull requests through the public client."""

import json
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, errors, hf_hub_download
from huggingface_hub.community import DiscussionComment, DiscussionStatusChange, DiscussionTitleChange

from tests.wire.server import Hub

HEADER = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER


@pytest.fixture
def repo(hub: Hub, name: str) -> str:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.create_commit(
        name,
        [
            CommitOperationAdd("config.json", b'{"a": 1}\n'),
            CommitOperationAdd("notes.txt", b"one\ntwo\n"),
            CommitOperationAdd("model.safetensors", WEIGHTS + b"main"),
        ],
        commit_message="Files",
    )
    return name


def test_a_discussion_lives_from_its_first_comment_to_its_end(hub: Hub, repo: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    opened = bob.create_discussion(repo, "  Which license? ", description="I *wonder*, @ada.\n\n<script>x</script>")
    assert (opened.num, opened.title, opened.status, opened.author) == (1, "Which license?", "open", "bob")
    assert opened.is_pull_request is False
    assert opened.url == f"{hub.url}/{repo}/discussions/1"
    first = opened.events[0]
    assert isinstance(first, DiscussionComment)
    assert first.content == "I *wonder*, @ada.\n\n<script>x</script>"
    assert "<em>wonder</em>" in first.rendered
    assert "<script" not in first.rendered
    assert f'href="{hub.url}/{repo}/discussions?author=ada"' in first.rendered

    answer = ada.comment_discussion(repo, 1, "Open RAIL.")
    edited = ada.edit_discussion_comment(repo, 1, answer.id.upper(), "Open RAIL-M.")
    assert (edited.content, edited.edited, edited.number_of_edits) == ("Open RAIL-M.", True, 1)
    assert edited.edit_history[0]["raw"] == "Open RAIL."
    renamed = bob.rename_discussion(repo, 1, "Which license is it?")
    assert isinstance(renamed, DiscussionTitleChange)
    assert (renamed.old_title, renamed.new_title) == ("Which license?", "Which license is it?")
    closed = bob.change_discussion_status(repo, 1, "closed", comment="Thanks.")
    assert isinstance(closed, DiscussionStatusChange)
    assert closed.new_status == "closed"
    ada.change_discussion_status(repo, 1, "open")
    with pytest.warns(UserWarning, match="irreversible"):
        hidden = ada.hide_discussion_comment(repo, 1, first.id)
    assert hidden.hidden
    for person, said in (("ada", "I *wonder*, @ada.\n\n<script>x</script>"), ("bob", "This comment has been hidden")):
        events = hub.api(person).get_discussion_details(repo, 1).events
        assert [event.type for event in events] == [
            "comment", "comment", "title-change", "comment", "status-change", "status-change"
        ]  # fmt: skip
        assert isinstance(events[0], DiscussionComment)
        assert (events[0].hidden, events[0].content) == (True, said)


def test_discussions_are_listed_newest_first_and_filtered(hub: Hub, repo: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    for number in range(1, 23):
        (ada if number % 2 else bob).create_discussion(repo, f"Number {number}", pull_request=number == 5)
    ada.change_discussion_status(repo, 7, "closed")
    assert [row.num for row in bob.get_repo_discussions(repo)] == list(range(22, 0, -1))
    assert [row.num for row in bob.get_repo_discussions(repo, discussion_type="pull_request")] == [5]
    assert [row.num for row in bob.get_repo_discussions(repo, discussion_status="closed")] == [7]
    by_bob = list(bob.get_repo_discussions(repo, author="bob", discussion_status="open"))
    assert [row.num for row in by_bob] == list(range(22, 0, -2))
    assert 5 in [row.num for row in bob.get_repo_discussions(repo, discussion_status="open")]
    assert list(bob.get_repo_discussions(repo, author="nobody")) == []
    assert bob.get_user_overview("bob").num_discussions >= 11
    with hub.http("bob") as http:
        page = http.get(f"/api/models/{repo}/discussions", params={"p": 1}).json()
        assert (page["start"], page["count"], [row["num"] for row in page["discussions"]]) == (20, 22, [2, 1])
        assert http.get(f"/api/models/{repo}/discussions", params={"status": "odd"}).status_code == 400


def test_a_stranger_proposes_a_change_and_the_owner_merges_it(hub: Hub, repo: str, tmp_path: Path) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    base = ada.model_info(repo).sha
    made = bob.create_commit(
        repo,
        [
            CommitOperationAdd("config.json", b'{"a": 2}\n'),
            CommitOperationAdd("extra/weights.safetensors", WEIGHTS + b"bobs"),
            CommitOperationDelete("notes.txt"),
        ],
        commit_message="Better numbers",
        commit_description="Because they are.",
        create_pr=True,
    )
    assert (made.pr_num, made.pr_revision) == (1, "refs/pr/1")
    assert made.pr_url == f"{hub.url}/{repo}/discussions/1"
    bob.upload_file(path_or_fileobj=b"more", path_in_repo="more.txt", repo_id=repo, revision="refs/pr/1")

    details = ada.get_discussion_details(repo, 1)
    assert (details.status, details.title, details.target_branch) == ("open", "Better numbers", "refs/heads/main")
    assert details.conflicting_files == []
    assert [event.type for event in details.events] == ["comment", "commit", "commit"]
    assert details.diff is not None
    assert '-{"a": 1}\n+{"a": 2}\n' in details.diff
    assert "deleted file mode 100644\n--- a/notes.txt\n+++ /dev/null\n" in details.diff
    assert "# large file: nothing before" in details.diff
    assert ada.model_info(repo).sha == base
    refs = bob.list_repo_refs(repo, include_pull_requests=True)
    assert [row.ref for row in refs.pull_requests or []] == ["refs/pr/1"]
    assert hub.api("eve").list_repo_refs(repo).pull_requests is None
    path = hf_hub_download(
        repo, "extra/weights.safetensors", revision="refs/pr/1", endpoint=hub.url, token=False, cache_dir=tmp_path
    )
    assert Path(path).read_bytes() == WEIGHTS + b"bobs"
    entry = bob.get_paths_info(repo, ["extra/weights.safetensors"], revision="refs/pr/1")[0]
    assert entry.lfs is not None  # type: ignore[union-attr]

    with pytest.raises(errors.HfHubHTTPError) as caught:
        bob.merge_pull_request(repo, 1)
    assert caught.value.response.status_code == 403
    ada.merge_pull_request(repo, 1, comment="Welcome.")
    details = ada.get_discussion_details(repo, 1)
    assert details.status == "merged"
    assert details.merge_commit_oid == ada.model_info(repo).sha != base
    newest = ada.list_repo_commits(repo)[0]
    assert newest.title == "Better numbers (#1)"
    assert "Co-authored-by: bob" in newest.message
    assert ada.list_repo_files(repo) == [
        ".gitattributes", "config.json", "extra/weights.safetensors", "model.safetensors", "more.txt"
    ]  # fmt: skip
    with pytest.raises(errors.HfHubHTTPError, match="merged"):
        bob.upload_file(path_or_fileobj=b"late", path_in_repo="late.txt", repo_id=repo, revision="refs/pr/1")
    with pytest.raises(errors.HfHubHTTPError, match="merged"):
        ada.change_discussion_status(repo, 1, "open")


def test_a_merge_that_would_lose_changes_is_refused_with_the_files(hub: Hub, repo: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    opened = bob.create_pull_request(repo, "Other numbers")
    assert opened.status == "draft"
    with pytest.raises(errors.HfHubHTTPError, match="changes nothing"):
        ada.merge_pull_request(repo, opened.num)
    bob.upload_file(path_or_fileobj=b"b", path_in_repo="config.json", repo_id=repo, revision=opened.git_reference)
    ada.upload_file(path_or_fileobj=b"c", path_in_repo="config.json", repo_id=repo)
    assert ada.get_discussion_details(repo, opened.num).conflicting_files == ["config.json"]
    with pytest.raises(errors.HfHubHTTPError, match=r"config\.json") as caught:
        ada.merge_pull_request(repo, opened.num)
    assert caught.value.response.status_code == 409
    bob.upload_file(path_or_fileobj=b"c", path_in_repo="config.json", repo_id=repo, revision=opened.git_reference)
    bob.upload_file(path_or_fileobj=b"n", path_in_repo="new.txt", repo_id=repo, revision=opened.git_reference)
    ada.merge_pull_request(repo, opened.num)
    assert "new.txt" in ada.list_repo_files(repo)


@pytest.mark.parametrize("person", ["ada", "bob"])
def test_a_folder_becomes_a_pull_request(hub: Hub, repo: str, tmp_path: Path, person: str) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "text.md").write_text("# Text\n")
    (folder / "model.safetensors").write_bytes(WEIGHTS + b"next")
    api = hub.api(person)
    made = api.upload_folder(repo_id=repo, folder_path=folder, create_pr=True, commit_message="A folder")
    assert made.pr_revision == "refs/pr/1"
    assert "sub/text.md" in api.list_repo_files(repo, revision="refs/pr/1")
    path = hf_hub_download(
        repo, "model.safetensors", revision="refs/pr/1", endpoint=hub.url, token=False, cache_dir=tmp_path / "cache"
    )
    assert Path(path).read_bytes() == WEIGHTS + b"next"
    assert "sub/text.md" not in api.list_repo_files(repo)


def test_who_is_neither_author_nor_writer_adds_nothing(hub: Hub, repo: str) -> None:
    bob, eve = hub.api("bob"), hub.api("eve")
    bob.create_pull_request(repo, "Mine")
    for revision in ("refs/pr/1", "main"):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            eve.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo, revision=revision)
        assert caught.value.response.status_code == 403
    with pytest.raises(errors.RevisionNotFoundError):
        bob.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo, revision="refs/pr/2")
    with pytest.raises(errors.RevisionNotFoundError):
        bob.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo, revision="gone", create_pr=True)
    for act in (
        lambda: eve.rename_discussion(repo, 1, "Not mine"),
        lambda: eve.change_discussion_status(repo, 1, "closed"),
        lambda: hub.api(None).comment_discussion(repo, 1, "x"),
    ):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            act()
        assert caught.value.response.status_code in (401, 403)


def test_a_private_repository_has_no_discussions_for_strangers(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name, private=True)
    ada.create_discussion(name, "Among us")
    with hub.http("eve") as http:
        for path in ("discussions", "discussions/1", "discussions/2"):
            hidden = http.get(f"/api/models/{name}/{path}")
            missing = http.get(f"/api/models/ada/never-there/{path}")
            assert (hidden.status_code, hidden.json()) == (missing.status_code, missing.json())
            assert hidden.headers["x-error-code"] == "RepoNotFound"
    before = hub.api("eve").get_user_overview("ada").num_discussions
    ada.create_discussion(name, "Still among us")
    assert hub.api("eve").get_user_overview("ada").num_discussions == before


def test_media_are_refused_with_a_sentence(hub: Hub) -> None:
    with hub.http("bob") as http:
        answer = http.post("/uploads", content=b"\x89PNG", headers={"Content-Type": "image/png"})
    assert answer.status_code == 415
    assert "not attached" in answer.json()["error"]
