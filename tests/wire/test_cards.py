"""Cards, details of info objects, lineage and narrowed lists, as the public client asks for them."""

import json
import struct
import time
from typing import get_args

import pytest
from huggingface_hub.hf_api import ExpandDatasetProperty_T, ExpandModelProperty_T, ExpandSpaceProperty_T

from tests.wire.server import Hub


def card(**fields: str) -> bytes:
    lines = "\n".join(f"{name}: {value}" for name, value in fields.items())
    return f"---\nlicense: mit\n{lines}\n---\n# A card\n".encode()


def weights(count: int) -> bytes:
    rows = {"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}
    header = json.dumps(rows).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * count)


def test_every_value_of_expand_is_answered(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    ada.create_repo(name, repo_type="dataset")
    ada.create_repo(name, repo_type="space", space_sdk="static")
    for field in get_args(ExpandModelProperty_T):
        assert ada.model_info(name, expand=[field]).id == name
    for field in get_args(ExpandDatasetProperty_T):
        assert ada.dataset_info(name, expand=[field]).id == name
    for field in get_args(ExpandSpaceProperty_T):
        assert ada.space_info(name, expand=[field]).id == name


def test_parameters_and_configuration_are_told(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    config = {"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 3}
    ada.upload_file(path_or_fileobj=json.dumps(config).encode(), path_in_repo="config.json", repo_id=name)
    tokenizer = json.dumps({"mask_token": "[MASK]"}).encode()
    ada.upload_file(path_or_fileobj=tokenizer, path_in_repo="tokenizer_config.json", repo_id=name)
    ada.upload_file(path_or_fileobj=weights(10), path_in_repo="model.safetensors", repo_id=name)
    ends = time.monotonic() + 60
    while (info := hub.api("bob").model_info(name)).safetensors is None and time.monotonic() < ends:
        time.sleep(0.2)

    assert info.safetensors is not None
    assert (info.safetensors.total, info.safetensors.parameters) == (10, {"F32": 10})
    assert info.config == {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "tokenizer_config": {"mask_token": "[MASK]"},
    }
    assert info.mask_token == "[MASK]"
    assert info.transformers_info is not None
    assert info.transformers_info.auto_model == "AutoModelForMaskedLM"
    bob = hub.api("bob")
    assert name in [row.id for row in bob.list_models(author="ada", num_parameters="min:5,max:1K")]
    assert name not in [row.id for row in bob.list_models(author="ada", num_parameters="min:11")]


def test_lineage_is_shown_both_ways_as_far_as_the_caller_may_know(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    for made, options in ((name, {}), (f"{name}-a", {}), (f"{name}-b", {"private": True})):
        ada.create_repo(made, **options)
    for child in (f"{name}-a", f"{name}-b"):
        ada.upload_file(path_or_fileobj=card(base_model=name), path_in_repo="README.md", repo_id=child)

    counts = {
        person: hub.api(person).model_info(name, expand=["childrenModelCount"]).children_model_count
        for person in ("ada", "bob")
    }

    assert counts == {"ada": {"finetune": 2}, "bob": {"finetune": 1}}
    base = ada.model_info(f"{name}-a", expand=["baseModels"]).base_models
    assert base == {"relation": "finetune", "models": [{"id": name}]}
    with hub.http("bob") as http:
        parent = http.get(f"/{name}", headers={"Accept": "text/html"}).text
        child = http.get(f"/{name}-a", headers={"Accept": "text/html"}).text
    assert "1 derivative visible to you" in parent
    assert f"{name}-b" not in parent
    assert f'<a href="/{name}">{name}</a>' in child


def test_lists_of_data_sets_are_narrowed_by_what_cards_say(hub: Hub, name: str) -> None:
    ada, bob = hub.api("ada"), hub.api("bob")
    ada.create_repo(name, repo_type="dataset")
    content = card(language="cy", size_categories="n<1K", task_categories="translation")
    ada.upload_file(path_or_fileobj=content, path_in_repo="README.md", repo_id=name, repo_type="dataset")

    for options in ({"language": "cy"}, {"size_categories": "n<1K"}, {"task_categories": "translation"}):
        assert name in [row.id for row in bob.list_datasets(author="ada", **options)], options
    assert name not in [row.id for row in bob.list_datasets(author="ada", language="fr")]
    assert name not in [row.id for row in bob.list_datasets(author="ada", benchmark=True)]


def test_a_card_with_mistakes_is_refused_before_the_commit(hub: Hub, name: str) -> None:
    ada = hub.api("ada")
    ada.create_repo(name)
    with pytest.raises(ValueError, match="base_model_relation"):
        ada.upload_file(path_or_fileobj=card(base_model_relation="cousin"), path_in_repo="README.md", repo_id=name)


@pytest.mark.parametrize("part", ["runtime", "hardware", "secrets", "variables", "restart"])
def test_a_space_is_kept_and_not_run(hub: Hub, name: str, part: str) -> None:
    hub.api("ada").create_repo(name, repo_type="space", space_sdk="static")
    with hub.http("ada") as http:
        answer = http.get(f"/api/spaces/{name}/{part}")
    assert answer.status_code == 501
    assert "not run" in answer.json()["error"]
