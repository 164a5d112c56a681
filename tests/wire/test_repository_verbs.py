from pathlib import Path
from typing import get_args

import pytest
from huggingface_hub import HfFileSystem, errors, hf_hub_download
from huggingface_hub.hf_api import ExpandDatasetProperty_T, ExpandModelProperty_T, ExpandSpaceProperty_T

from tests.wire.server import Hub


def test_a_moved_repository_answers_under_its_old_name_until_that_is_used_again(
    hub: Hub, name: str, tmp_path: Path
) -> None:
    ada, bob, moved = hub.api("ada"), hub.api("bob"), f"{name}-moved"
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"hello", path_in_repo="a.txt", repo_id=name)
    ada.move_repo(name, moved)
    assert bob.model_info(name).id == moved
    assert bob.model_info(name.upper().replace("ADA/", "ada/")).id == moved
    assert [row.path for row in bob.list_repo_tree(name)] == [".gitattributes", "a.txt"]
    path = hf_hub_download(name, "a.txt", endpoint=hub.url, token=hub.tokens["bob"], cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"hello"
    assert HfFileSystem(endpoint=hub.url, token=hub.tokens["bob"]).cat(f"{name}/a.txt") == b"hello"
    with hub.http("bob") as http:
        answer = http.get(f"/{name}/resolve/refs%2Fheads%2Fmain/a.txt?download=true", follow_redirects=False)
        assert answer.status_code == 307
        assert answer.headers["location"] == f"/{moved}/resolve/refs%2Fheads%2Fmain/a.txt?download=true"
        assert http.get(f"/{name}", follow_redirects=False).headers["location"] == f"/{moved}"
    for content in (b"x", b"\0" * 100_000):
        assert f"/{moved}/commit/" in ada.upload_file(path_or_fileobj=content, path_in_repo="b.bin", repo_id=name)
    ada.create_branch(name, branch="by-the-old-name")
    assert [row.path for row in bob.get_paths_info(name, ["b.bin"])] == ["b.bin"]
    ada.create_repo(name)
    assert bob.model_info(name).id == name
    assert len(bob.list_repo_files(name)) == 1


def test_an_old_name_tells_strangers_nothing(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name, private=True)
    ada.move_repo(name, f"{name}-hidden")
    assert ada.model_info(name).id == f"{name}-hidden"
    for person in ("eve", None):
        with hub.http(person) as http:
            for path in ("/api/models/{}", "/api/models/{}/tree/main", "/{}/resolve/main/README.md"):
                hidden = http.get(path.format(name), follow_redirects=False)
                missing = http.get(path.format("ada/never-there"), follow_redirects=False)
                assert hidden.status_code == missing.status_code == (404 if person else 401)
                assert hidden.json() == missing.json()
                hidden = http.post(f"/api/models/{name}/commit/main", content=b"x", follow_redirects=False)
                assert hidden.status_code == (404 if person else 401)
    with pytest.raises(errors.RepositoryNotFoundError):
        hub.api("eve").move_repo(f"{name}-hidden", "eve/mine")


def test_repositories_are_moved_only_to_where_the_caller_may_create(hub: Hub, name: str) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    ada.create_repo(name)
    eve.create_repo(name.replace("ada/", "eve/"), private=True)
    told = set()
    for target in (name.replace("ada/", "eve/"), "eve/not-there", "nobody/at-all"):
        with pytest.raises(errors.HfHubHTTPError) as caught:
            ada.move_repo(name, target)
        assert caught.value.response.status_code == 403
        told.add(caught.value.response.json()["code"])
    assert len(told) == 1
    with pytest.raises(errors.HfHubHTTPError) as caught:
        eve.move_repo(name, "eve/stolen")
    assert caught.value.response.status_code == 403
    ada.create_repo(f"{name}-taken")
    with pytest.raises(errors.HfHubHTTPError, match="already exists") as caught:
        ada.move_repo(name, f"{name}-taken")
    assert caught.value.response.status_code == 409


def test_access_stays_with_a_moved_repository(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.update_repo_settings(name, gated="manual")
    ada.grant_access(name, "bob")
    ada.move_repo(name, f"{name}-gated")
    hub.api("bob").auth_check(f"{name}-gated")
    with pytest.raises(errors.GatedRepoError):
        hub.api("eve").auth_check(name)


def test_a_squashed_branch_has_one_commit_with_all_files(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    for number in range(3):
        ada.upload_file(path_or_fileobj=b"%d" % number, path_in_repo=f"{number}.txt", repo_id=name)
    before = ada.model_info(name).sha
    ada.create_tag(name, tag="kept")
    ada.super_squash_history(name, commit_message="All in one")
    [only] = ada.list_repo_commits(name)
    assert only.title == "All in one"
    assert only.commit_id != before
    assert [file.rfilename for file in ada.model_info(name).siblings or []] == [
        ".gitattributes",
        "0.txt",
        "1.txt",
        "2.txt",
    ]
    assert len(ada.list_repo_commits(name, revision="kept")) == 4
    with pytest.raises(errors.RevisionNotFoundError):
        ada.super_squash_history(name, branch="nothing")
    with pytest.raises(errors.HfHubHTTPError) as caught:
        hub.api("eve").super_squash_history(name)
    assert caught.value.response.status_code == 403


def test_titles_of_commits_are_formatted_as_html(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=name, commit_message="a <b> & c")
    newest = ada.list_repo_commits(name, formatted=True)[0]
    assert (newest.title, newest.formatted_title) == ("a <b> & c", "a &lt;b&gt; &amp; c")


def test_large_files_are_listed_over_all_refs_and_deleted_for_good(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"first" * 10, path_in_repo="sub/old.bin", repo_id=name)
    old = ada.model_info(name).sha
    ada.create_branch(name, branch="side")
    ada.upload_file(path_or_fileobj=b"second" * 10, path_in_repo="new.bin", repo_id=name)
    ada.upload_file(path_or_fileobj=b"third" * 10, path_in_repo="side.bin", repo_id=name, revision="side")
    ada.delete_file("sub/old.bin", repo_id=name)
    found = {row.filename: row for row in ada.list_lfs_files(name)}
    assert set(found) == {"sub/old.bin", "new.bin", "side.bin"}
    assert found["side.bin"].ref == "refs/heads/side"
    assert found["sub/old.bin"].size == 50
    with hub.http("ada") as http:
        pages = [http.get(f"/api/models/{name}/lfs-files?limit=2")]
        pages.append(http.get(pages[0].links["next"]["url"]))
        assert [len(page.json()) for page in pages] == [2, 1]
        assert http.get(f"/{name}/resolve/{old}/sub/old.bin").content == b"first" * 10

    ada.permanently_delete_lfs_files(name, [found["sub/old.bin"], found["side.bin"]])
    assert [row.filename for row in ada.list_lfs_files(name)] == ["new.bin"]
    assert set(ada.list_repo_files(name)) == {".gitattributes", "new.bin"}
    assert ada.list_repo_files(name, revision="side") == [".gitattributes"]
    assert len(ada.list_repo_commits(name)) == 4  # rewritten, not dropped
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/new.bin").content == b"second" * 10
        gone = http.get(f"/{name}/resolve/{old}/sub/old.bin")
        assert (gone.status_code, gone.headers["x-error-code"]) == (404, "EntryNotFound")
    ada.upload_file(path_or_fileobj=b"first" * 10, path_in_repo="again.bin", repo_id=name)
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/again.bin").content == b"first" * 10


def test_deleting_without_rewriting_keeps_commits_and_takes_the_bytes(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"bytes" * 10, path_in_repo="a.bin", repo_id=name)
    head = ada.model_info(name).sha
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/a.bin").status_code == 200
    ada.permanently_delete_lfs_files(name, list(ada.list_lfs_files(name)), rewrite_history=False)
    assert ada.model_info(name).sha == head
    assert list(ada.list_lfs_files(name)) == []
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/a.bin").status_code == 404  # also where it was kept in a cache
    for verb in (lambda api: list(api.list_lfs_files(name)), lambda api: api.permanently_delete_lfs_files(name, [])):
        verb(ada)
    with pytest.raises(errors.HfHubHTTPError) as caught:
        list(hub.api("eve").list_lfs_files(name))
    assert caught.value.response.status_code == 403


def test_a_duplicate_holds_the_files_and_opens_nothing(hub: Hub, name: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"weights" * 10, path_in_repo="sub/a.bin", repo_id=name)
    ada.upload_file(path_or_fileobj=b"text", path_in_repo="a.txt", repo_id=name)
    copy = f"bob/{name.split('/')[1]}"
    made = bob.duplicate_repo(name, to_id=copy)
    assert made.repo_id == copy
    assert set(bob.list_repo_files(copy)) == {".gitattributes", "a.txt", "sub/a.bin"}
    assert len(bob.list_repo_commits(copy)) == 1
    with hub.http("bob") as http:
        assert http.get(f"/{copy}/resolve/main/sub/a.bin").content == b"weights" * 10
    with pytest.raises(errors.HfHubHTTPError) as caught:
        bob.duplicate_repo(name, to_id=copy)
    assert caught.value.response.status_code == 409
    assert bob.duplicate_repo(name, to_id=copy, exist_ok=True).repo_id == copy
    ada.update_repo_settings(name, gated="manual")
    with pytest.raises(errors.GatedRepoError):
        hub.api("eve").duplicate_repo(name, to_id="eve/stolen")
    with pytest.raises(errors.HfHubHTTPError):
        bob.duplicate_repo(name, to_id="ada/not-bobs")
    ada.grant_access(name, "bob")
    bob.duplicate_repo(name, to_id=f"{copy}-gated")
    assert bob.model_info(f"{copy}-gated").gated == "manual"
    ada.update_repo_settings(name, gated=False, visibility="private")
    ada.duplicate_repo(name, to_id=f"{name}-private", visibility="public")
    assert ada.model_info(f"{name}-private").private is True


def test_likes_are_given_taken_back_and_listed(hub: Hub, name: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    ada.create_repo(name)
    before = {who: hub.api(who).get_user_overview("bob").num_likes for who in ("ada", "eve")}
    with hub.http("bob") as http:
        assert http.post(f"/api/models/{name}/like").status_code == 200
        assert http.post(f"/api/models/{name}/like").status_code == 200
    with hub.http() as http:
        assert http.post(f"/api/models/{name}/like").status_code == 401
    assert [user.username for user in ada.list_repo_likers(name)] == ["bob"]
    assert ada.model_info(name).likes == 1
    assert next(iter(ada.list_models(sort="likes", author="ada"))).id == name
    assert name in ada.list_liked_repos("bob").models
    assert ada.get_user_overview("bob").num_likes == before["ada"] + 1
    ada.update_repo_settings(name, visibility="private")
    assert name not in hub.api("eve").list_liked_repos("bob").models
    assert hub.api("eve").get_user_overview("bob").num_likes == before["eve"]
    ada.update_repo_settings(name, visibility="public")
    bob.unlike(name)
    assert list(ada.list_repo_likers(name)) == []
    assert ada.model_info(name).likes == 0


def test_people_and_organizations_have_overviews(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    before = ada.get_user_overview("ada").num_models
    ada.create_repo(name)
    ada.create_repo(f"{name}-private", private=True)
    assert ada.get_user_overview("ada").num_models == before + 2
    seen = hub.api("eve").get_user_overview("ADA")
    assert (seen.username, seen.user_type) == ("ada", "user")
    assert seen.num_models < before + 2
    assert list(ada.list_user_followers("ada")) == []
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.get_organization_overview("nobody-here")
    assert caught.value.response.status_code == 404
    ada.upload_file(path_or_fileobj=b"\0" * 3_000_000, path_in_repo="w.bin", repo_id=name)
    rows = {row.id: row for row in ada.list_user_repos()}
    assert (rows[name].visibility, rows[name].storage) == ("public", 3_000_000)
    assert rows[name].storage_percent == round(3e8 / sum(row.storage for row in rows.values()), 2) > 0
    assert (rows[f"{name}-private"].storage, rows[f"{name}-private"].storage_percent) == (0, 0)


def test_every_field_that_the_client_may_expand_is_taken(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    card = b"---\nlicense: mit\nbase_model: ada/parent\ntags: [expandable]\npipeline_tag: expanding\n---\n"
    ada.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=name)
    fields = [*get_args(ExpandModelProperty_T)]
    seen = ada.model_info(name, expand=fields)
    assert seen.downloads_all_time == 0
    assert seen.base_models is not None
    ada.create_repo(name, repo_type="dataset")
    assert ada.dataset_info(name, expand=[*get_args(ExpandDatasetProperty_T)]).id == name
    ada.create_repo(name, repo_type="space", space_sdk="static")
    assert ada.space_info(name, expand=[*get_args(ExpandSpaceProperty_T)]).id == name
    assert ada.space_info(name).sdk == "static"
    with hub.http("ada") as http:
        assert http.get(f"/api/datasets/{name}?expand=gguf").status_code == 400
        tags = http.get("/api/models-tags-by-type").json()
        assert http.get("/api/tasks").json()["expanding"] == {"widgetModels": [name]}
        told = http.post(f"/api/models/{name}/paths-info/main", json={"paths": ["README.md", "no"], "expand": True})
        assert [(row["path"], "lastCommit" in row) for row in told.json()] == [("README.md", True)]
    assert {"id": "expandable", "label": "expandable", "type": "other"} in tags["other"]
    assert "license:mit" in [tag["id"] for tag in tags["license"]]


def test_a_page_looks_for_what_few_meet(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    for number in range(6):
        ada.create_repo(f"{name}-{number}")
        if number < 2:
            ada.update_repo_settings(f"{name}-{number}", gated="auto")
    with hub.http() as http:
        first = http.get("/api/models", params={"search": name, "gated": "true", "limit": 1, "sort": "createdAt"})
        second = http.get(first.links["next"]["url"])
    assert [row["id"] for row in first.json() + second.json()] == [f"{name}-1", f"{name}-0"]


def test_bytes_of_another_repository_are_not_had_by_naming_their_digest(hub: Hub, name: str) -> None:
    ada, eve = hub.api("ada"), hub.api("eve")
    ada.create_repo(name, private=True)
    ada.upload_file(path_or_fileobj=b"secret" * 10, path_in_repo="a.bin", repo_id=name)
    [file] = ada.list_lfs_files(name)
    mine = name.replace("ada/", "eve/")
    eve.create_repo(mine)
    eve.permanently_delete_lfs_files(mine, [file])  # passed over: eve's repository does not have it
    with hub.http("ada") as http:
        assert http.get(f"/{name}/resolve/main/a.bin").content == b"secret" * 10
    with hub.http("eve") as http:
        for verb, path, body in (
            ("POST", "duplicate", {"repository": f"{mine}-copy"}),
            ("POST", "like", None),
            ("DELETE", "like", None),
            ("GET", "likers", None),
            ("GET", "lfs-files", None),
            ("POST", "lfs-files/batch", {"deletions": {"sha": [file.oid], "rewriteHistory": True}}),
            ("POST", "super-squash/main", {"message": "x"}),
        ):
            hidden = http.request(verb, f"/api/models/{name}/{path}", json=body)
            missing = http.request(verb, f"/api/models/ada/never-there/{path}", json=body)
            assert hidden.status_code == missing.status_code == 404, path
            assert hidden.json() == missing.json()
        wrong = http.post(f"/api/models/{mine}/lfs-files/batch", json={"deletions": {"sha": ["x"]}})
        assert wrong.status_code == 422
