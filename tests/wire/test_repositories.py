import pytest
from huggingface_hub import errors

from tests.wire.server import Hub


def test_whoami_names_the_person_and_the_token(hub: Hub) -> None:
    me = hub.api("ada").whoami()
    assert (me["name"], me["type"], me["auth"]["accessToken"]["role"]) == ("ada", "user", "write")


def test_a_wrong_token_is_called_wrong_not_a_missing_repository(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    wrong = hub.api("ada").model_info
    with pytest.raises(errors.HfHubHTTPError, match="Invalid credentials in Authorization header") as caught:
        wrong(name, token="gk_" + "x" * 44)
    assert not isinstance(caught.value, errors.RepositoryNotFoundError)
    assert caught.value.response.status_code == 401


def test_a_repository_is_made_found_and_deleted(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    made = ada.create_repo(name)
    assert made.repo_id == name
    assert str(made) == f"{hub.url}/{name}"
    assert ada.create_repo(name, exist_ok=True).repo_id == name
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.create_repo(name)
    assert caught.value.response.status_code == 409
    info = ada.model_info(name, files_metadata=True)
    assert info.sha is not None
    assert len(info.sha) == 40
    assert [file.rfilename for file in info.siblings or []] == [".gitattributes"]
    assert ada.list_repo_commits(name)[0].title == "initial commit"
    ada.delete_repo(name)
    with pytest.raises(errors.RepositoryNotFoundError):
        ada.model_info(name)
    ada.delete_repo(name, missing_ok=True)


def test_names_match_in_any_case_and_answers_carry_the_canonical_one(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(f"{name}-Mixed")
    assert hub.api("bob").model_info(f"{name}-mixed".replace("ada/", "ADA/")).id == f"{name}-Mixed"


@pytest.mark.parametrize("repo_type", ["dataset", "space"])
def test_datasets_and_spaces_are_repositories_of_their_own(hub: Hub, name: str, repo_type: str) -> None:
    ada = hub.api("ada")
    options = {"space_sdk": "static"} if repo_type == "space" else {}
    ada.create_repo(name, repo_type=repo_type, **options)
    ada.upload_file(path_or_fileobj=b"a,b", path_in_repo="data.csv", repo_id=name, repo_type=repo_type)
    assert ada.repo_info(name, repo_type=repo_type).id == name
    with hub.http("ada") as http:
        assert http.get(f"/{repo_type}s/{name}/resolve/main/data.csv").content == b"a,b"
    with pytest.raises(errors.RepositoryNotFoundError):
        ada.model_info(name)


def test_nobody_makes_repositories_in_a_namespace_of_others(hub: Hub) -> None:
    with pytest.raises(errors.HfHubHTTPError) as caught:
        hub.api("eve").create_repo("ada/stolen")
    assert caught.value.response.status_code == 403


def test_a_private_repository_is_answered_like_one_that_is_missing(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name, private=True)
    assert hub.api("ada").model_info(name).private is True
    for person in ("eve", None):
        with hub.http(person) as http:
            paths = ("/api/models/{}", "/api/models/{}/tree/main", "/{}/resolve/main/README.md")
            for path in paths:
                hidden, missing = http.get(path.format(name)), http.get(path.format("ada/never-there"))
                assert hidden.status_code == missing.status_code == (404 if person else 401)
                assert hidden.json() == missing.json()
                assert hidden.headers["x-error-code"] == missing.headers["x-error-code"] == "RepoNotFound"
    assert name not in [row.id for row in hub.api("eve").list_models(author="ada")]
    assert name in [row.id for row in hub.api("ada").list_models(author="ada")]


def test_settings_are_kept_and_unknown_ones_refused(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.update_repo_settings(name, gated="auto", visibility="public")
    assert ada.model_info(name).gated == "auto"
    ada.update_repo_settings(name, gated=False)
    assert ada.model_info(name).gated is False
    with hub.http("ada") as http:
        for body in ({"gated": "sometimes"}, {"discussionsDisabled": True}, {"visibility": "protected"}, {}, [1]):
            answer = http.put(f"/api/models/{name}/settings", json=body)
            assert 400 <= answer.status_code < 500, body
            assert answer.json()["error"]
        assert http.put(f"/api/models/{name}/settings", json={"private": True}).status_code == 200
    assert ada.model_info(name).private is True
    with pytest.raises(errors.RepositoryNotFoundError):
        hub.api("eve").update_repo_settings(name, visibility="public")


def test_lists_are_searched_and_paged(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    made = [f"{name}-page{number}" for number in range(5)]
    for repo in made:
        ada.create_repo(repo)
    with hub.http("bob") as http:
        answer = http.get("/api/models", params={"search": f"{name.split('/')[1]}-page", "limit": 2})
        seen = [row["id"] for row in answer.json()]
        while "next" in answer.links:
            answer = http.get(answer.links["next"]["url"])
            seen += [row["id"] for row in answer.json()]
    assert sorted(seen) == made
    assert len(seen) == len(set(seen))
    assert len(list(ada.list_models(search=f"{name.split('/')[1]}-page", limit=3))) == 3


def test_an_unknown_expand_is_refused_with_the_known_ones(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    with hub.http("ada") as http:
        answer = http.get(f"/api/models/{name}", params={"expand": "secrets"})
        assert answer.status_code == 400
        assert 'expected one of "author"' in answer.json()["error"]
        few = http.get(f"/api/models/{name}", params={"expand": ["sha", "gated"]}).json()
    assert set(few) == {"_id", "id", "modelId", "sha", "gated"}


def test_branches_and_tags_come_and_go(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.create_branch(name, branch="refs-like/feature")
    ada.create_tag(name, tag="v1.0")
    ada.upload_file(path_or_fileobj=b"new", path_in_repo="a.txt", repo_id=name, revision="refs-like/feature")
    refs = ada.list_repo_refs(name)
    assert {branch.name for branch in refs.branches} == {"main", "refs-like/feature"}
    assert [tag.name for tag in refs.tags] == ["v1.0"]
    assert [file.path for file in ada.list_repo_tree(name, revision="refs-like/feature")] == [".gitattributes", "a.txt"]
    with pytest.raises(errors.HfHubHTTPError) as caught:
        ada.create_branch(name, branch="refs-like/feature")
    assert caught.value.response.status_code == 409
    ada.create_branch(name, branch="refs-like/feature", exist_ok=True)
    ada.delete_tag(name, tag="v1.0")
    ada.delete_branch(name, branch="refs-like/feature")
    with pytest.raises(errors.HfHubHTTPError, match="Cannot delete refs/heads/main"):
        ada.delete_branch(name, branch="main")
    with pytest.raises(errors.RevisionNotFoundError):
        ada.delete_tag(name, tag="v1.0")


def test_calls_that_are_not_offered_say_so(hub: Hub, name: str) -> None:
    hub.api("ada").create_repo(name)
    with hub.http("ada") as http:
        for path in (f"/api/models/{name}/nothing-like-this", "/api/jobs/ada", "/v9/x"):
            answer = http.get(path)
            assert answer.status_code == 404
            assert answer.json()["error"]
        moved = http.post("/api/repos/move", json={"fromRepo": name, "toRepo": "ada/x", "type": "model"})
        assert moved.status_code == 200, moved.text
        refused = http.patch(f"/api/models/{name}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_small_calls_of_clients_are_answered(hub: Hub) -> None:
    with hub.http() as http:
        assert http.get("/api/agent-harnesses").json() == {"standardEnvVars": [], "harnesses": {}}
        assert http.head("/api/telemetry/huggingface_hub/download").status_code < 300
        verdict = http.post("/api/validate-yaml", json={"content": "---\nlicense: mit\n---\n", "repoType": "model"})
        assert (verdict.status_code, verdict.json()["errors"]) == (200, [])
        broken = http.post("/api/validate-yaml", json={"content": "---\na: [\n---\n", "repoType": "model"})
        assert broken.status_code == 400
        assert broken.json()["errors"][0]["message"]


def test_every_answer_carries_the_callers_request_id(hub: Hub) -> None:
    with hub.http() as http:
        for path in ("/api/models", "/api/models/ada/none", "/nowhere/at/all"):
            assert http.get(path, headers={"X-Request-Id": "mine-123"}).headers["x-request-id"] == "mine-123"
            traced = http.get(path, headers={"X-Amzn-Trace-Id": "trace-9"}).headers["x-request-id"]
            assert "trace-9" in traced


def test_lists_are_narrowed_by_tag_task_and_gate_or_refused(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    card = b"---\nlicense: mit\npipeline_tag: text-to-image\ntags: [rare-tag]\n---\n"
    ada.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=name)
    bob = hub.api("bob")
    assert [row.id for row in bob.list_models(filter="rare-tag", author="ada")] == [name]
    assert name in [row.id for row in bob.list_models(pipeline_tag="text-to-image", author="ada")]
    assert name not in [row.id for row in bob.list_models(pipeline_tag="fill-mask", author="ada")]
    assert name not in [row.id for row in bob.list_models(gated=True, author="ada")]
    assert list(bob.list_models(inference_provider="all")) == []
    assert list(bob.list_models(author="ada", apps=["ollama", "vllm"])) == []
    with hub.http("bob") as http:
        assert http.get("/api/models", params={"num_parameters": "many"}).status_code == 400
        assert http.get("/api/models", params={"emissions_thresholds": "1"}).status_code == 400


def test_names_of_one_part_are_called_missing(hub: Hub) -> None:
    with pytest.raises(errors.RepositoryNotFoundError, match="two parts"):
        hub.api("bob").model_info("gpt2")
    with hub.http("bob") as http:
        answer = http.head("/gpt2/resolve/main/config.json")
    assert (answer.status_code, answer.headers["x-error-code"]) == (404, "RepoNotFound")
