"""A staged repository through the public client: what is held or not yet released is nobody's."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, errors, hf_hub_download

from gatekeeper.app import assemble, close
from gatekeeper.settings import Settings
from tests.wire.server import Hub
from tests.wire.stages import CARD, answer_field, hold, release, stage


@pytest.fixture
def maintainer(hub: Hub) -> Iterator[Any]:
    """Acts on the running hub's database from a second process's place, as the command line does."""
    gatekeeper = assemble(Settings(data_dir=hub.data_dir, public_url=hub.url, inference_url="off", _env_file=None))
    with asyncio.Runner() as runner:
        yield lambda act, name: runner.run(act(gatekeeper, name))
        runner.run(close(gatekeeper))


@pytest.fixture
def staged(hub: Hub, name: str, maintainer: Any) -> str:
    ada = hub.api("ada")
    ada.create_repo(name)
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + b"data"
    files = {"README.md": CARD, "LICENSE": b"Use it kindly.\n" * 20, "config.json": b"{}", "model.safetensors": weights}
    ada.create_commit(name, [CommitOperationAdd(path, data) for path, data in files.items()], commit_message="first")
    maintainer(stage, name)
    return name


def test_a_draft_is_answered_like_a_repository_that_is_missing(hub: Hub, staged: str) -> None:
    hub.api("ada").auth_check(staged)
    with pytest.raises(errors.RepositoryNotFoundError) as caught:
        hub.api("bob").model_info(staged)
    assert not isinstance(caught.value, errors.GatedRepoError)
    assert staged not in [row.id for row in hub.api("bob").list_models(author="ada")]
    assert staged in [row.id for row in hub.api("ada").list_models(author="ada")]


def test_main_is_the_released_revision_and_a_hold_binds_on_the_next_request(
    hub: Hub, staged: str, maintainer: Any, tmp_path: Path
) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    released = ada.model_info(staged).sha
    maintainer(release, staged)
    ada.upload_file(path_or_fileobj=b"{}\n", path_in_repo="config.json", repo_id=staged)
    draft = ada.model_info(staged).sha
    assert draft != released, "maintainers see the branch as it is"
    assert bob.model_info(staged).sha == released
    assert bob.model_info(staged, revision="main").sha == released
    assert [row.commit_id for row in bob.list_repo_commits(staged)] == [released]
    assert bob.list_repo_refs(staged).branches == []
    with pytest.raises(errors.RevisionNotFoundError):
        bob.model_info(staged, revision=draft)
    with pytest.raises(errors.GatedRepoError, match="terms"):
        bob.auth_check(staged)
    with hub.http("bob") as http:
        stands = http.get(f"/api/models/{staged}/access").json()
        assert stands["code"] == "terms_not_accepted"
        accept = {"accept": [text["sha256"] for text in stands["terms"]], "fields": {}}
        if stands["fields"]:
            accept["fields"] = {field["name"]: answer_field(field) for field in stands["fields"]}
        assert http.post(f"/api/models/{staged}/access", json=accept).status_code == 201
        shown = http.get(f"/api/models/{staged}/releases").json()
        assert [(row["commit"], row["stage"]) for row in shown] == [(released, "open")]
        for _ in range(3):  # the second and third come from the cache of decided answers
            assert http.get(f"/{staged}/resolve/main/model.safetensors").status_code == 200
        maintainer(hold, staged)
        refused = http.get(f"/{staged}/resolve/main/model.safetensors")
        assert refused.status_code == 403
        assert refused.headers["x-error-code"] == "GatedRepo"
        assert "hold" in refused.json()["error"]
        assert http.head(f"/{staged}/resolve/{released}/model.safetensors").status_code == 403
    options: dict[str, Any] = {"endpoint": hub.url, "token": hub.tokens["bob"], "cache_dir": tmp_path}
    with pytest.raises(errors.GatedRepoError, match="hold"):
        hf_hub_download(staged, "model.safetensors", **options)
