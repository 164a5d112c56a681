"""Cards as the helpers of the public client write and read them, and what lists and info objects count."""

from collections.abc import Callable
from typing import Any

from tests.wire.server import Hub

_UPDATE = """
from huggingface_hub import hf_hub_download, metadata_load, metadata_update

metadata_update(values["name"], {"license": "mit", "tags": ["emoji"]})
metadata_update(values["name"], {"pipeline_tag": "text-to-image"})
answer = metadata_load(hf_hub_download(values["name"], "README.md"))
"""
_PROPOSE = """
from huggingface_hub import metadata_update

answer = metadata_update(values["name"], {"license": "apache-2.0"}, create_pr=True, overwrite=True)
"""
_PUSH = """
from huggingface_hub import DatasetCard, ModelCard

ModelCard("---\\nlicense: mit\\n---\\n# Small\\n").push_to_hub(values["name"])
DatasetCard("---\\nlicense: mit\\nlanguage: en\\n---\\n# Faces\\n").push_to_hub(values["name"])
answer = [ModelCard.load(values["name"]).data.license, DatasetCard.load(values["name"]).data.language]
"""


def test_metadata_goes_up_and_comes_back(hub: Hub, name: str, run_client: Callable[..., Any]) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)

    loaded = run_client(_UPDATE, person="ada", name=name)

    assert loaded == {"license": "mit", "tags": ["emoji"], "pipeline_tag": "text-to-image"}
    assert ada.model_info(name).pipeline_tag == "text-to-image"


def test_metadata_is_proposed_in_a_pull_request(hub: Hub, name: str, run_client: Callable[..., Any]) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=name)

    run_client(_PROPOSE, person="bob", name=name)

    (pull,) = ada.get_repo_discussions(name)
    assert (pull.is_pull_request, pull.author) == (True, "bob")
    card = ada.model_info(name).card_data
    assert card is not None
    assert card.license == "mit"


def test_cards_are_pushed_and_loaded(hub: Hub, name: str, run_client: Callable[..., Any]) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.create_repo(name, repo_type="dataset")

    assert run_client(_PUSH, person="ada", name=name) == ["mit", "en"]
    card = ada.dataset_info(name).card_data
    assert card is not None
    assert card.language == "en"


def test_spaces_are_listed_by_what_they_name(hub: Hub, name: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    for made, fields in ((name, f"models: [{name}]\ntags: [drawing]"), (f"{name}-b", "datasets: [lab/faces]")):
        ada.create_repo(made, repo_type="space", space_sdk="static")
        card = f"---\nlicense: mit\nsdk: static\n{fields}\n---\n".encode()
        ada.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=made, repo_type="space")
    ada.create_repo(f"{name}-c", repo_type="space", space_sdk="static")

    def found(**options: object) -> set[str]:
        rows = bob.list_spaces(author="ada", search=name.partition("/")[2], **options)  # type: ignore[arg-type]
        return {row.id for row in rows}

    assert found() == {name, f"{name}-b", f"{name}-c"}
    assert found(models=name) == {name}
    assert found(datasets=["lab/faces"]) == {f"{name}-b"}
    assert found(linked=True) == {name, f"{name}-b"}
    assert found(filter="drawing") == {name}


def test_what_is_liked_lately_comes_first(hub: Hub, name: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    for made in (name, f"{name}-b"):
        ada.create_repo(made)
    with hub.http("bob") as http:
        assert http.post(f"/api/models/{name}/like").status_code == 200

    rows = bob.list_models(author="ada", search=name.partition("/")[2], sort="trending_score", expand=["trendingScore"])

    assert [(row.id, row.trending_score) for row in rows] == [(name, 1), (f"{name}-b", 0)]


def test_storage_and_transfer_are_told(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    before = ada.model_info(name, expand=["usedStorage"]).used_storage
    ada.upload_file(path_or_fileobj=b"a" * 1_000, path_in_repo="a.txt", repo_id=name)

    with hub.http("bob") as http:
        told = http.get(f"/api/models/{name}", params={"expand": ["usedStorage", "xetEnabled"]}).json()

    assert before is not None
    assert told["usedStorage"] == before + 1_000
    assert told["xetEnabled"] is True
