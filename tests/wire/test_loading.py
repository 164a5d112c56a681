"""Tiny random models, saved by the libraries themselves, uploaded by the public client and loaded back by name.

Importing the libraries takes most of the time, so one client process does it all and the tests look at what it saw.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.wire.server import Hub

STORY = """
    import pathlib

    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, StableDiffusionPipeline, UNet2DConditionModel
    from huggingface_hub import HfApi
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.set_num_threads(1)
    torch.manual_seed(1)
    api, place, name, tokens = HfApi(), pathlib.Path(values["place"]), values["name"], values["tokens"]
    answer = {}

    letters = [chr(code) for code in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *[letter + "</w>" for letter in letters], "ab"]
    (place / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (place / "merges.txt").write_text("#version: 0.2\\na b\\n")
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=4,
    )
    pipeline = StableDiffusionPipeline(
        unet=unet,
        vae=AutoencoderKL(
            block_out_channels=(8, 16), norm_num_groups=4, down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4,
        ),
        text_encoder=CLIPTextModel(CLIPTextConfig(
            vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )),
        tokenizer=CLIPTokenizer(str(place / "vocab.json"), str(place / "merges.txt"), model_max_length=77),
        scheduler=DDIMScheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(place / "pipeline"))
    api.create_repo(name)
    api.upload_folder(repo_id=name, folder_path=str(place / "pipeline"))

    def load(person, cache):
        options = {"safety_checker": None, "requires_safety_checker": False}
        try:
            loaded = DiffusionPipeline.from_pretrained(
                name, token=tokens[person], cache_dir=str(place / cache), **options
            )
        except Exception as error:
            return [type(error).__name__, str(error)]
        return torch.equal(loaded.unet.conv_in.weight, unet.conv_in.weight)

    answer["cold"] = load("bob", "bob")
    api.update_repo_settings(name, gated="manual")
    answer["gated"] = load("eve", "eve")
    answer["gated_but_held"] = load("bob", "bob")

    (place / "vocab.txt").write_text("\\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "apple", "red"]))
    saved = str(place / "text")
    BertTokenizerFast(str(place / "vocab.txt")).save_pretrained(saved)
    made = BertModel(BertConfig(
        vocab_size=7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    ))
    made.save_pretrained(saved)
    api.create_repo(name + "-text")
    api.upload_folder(repo_id=name + "-text", folder_path=saved)
    model = AutoModel.from_pretrained(name + "-text")
    answer["weights"] = torch.equal(model.embeddings.word_embeddings.weight, made.embeddings.word_embeddings.weight)
    answer["tokens"] = AutoTokenizer.from_pretrained(name + "-text").tokenize("red apple")
"""


def test_pipelines_and_models_are_loaded_by_name_and_refused_behind_the_gate(
    hub: Hub, name: str, run_client: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = str(tmp_path_factory.mktemp("models"))
    seen = run_client(STORY, person="ada", name=name, place=place, tokens=hub.tokens)
    assert seen["cold"] is True
    kind, text = seen["gated"]
    assert kind in ("GatedRepoError", "OSError"), text
    assert f"Access to model {name} is restricted and you are not in the authorized list." in text
    assert f"{hub.url}/{name}" in text
    assert seen["gated_but_held"] is True, "a revocation stops new bytes, not those somebody holds"
    assert seen["weights"] is True
    assert seen["tokens"] == ["red", "apple"]
