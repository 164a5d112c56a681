"""The shipped model: that it is all there, loads as it is, and draws and checks what its card says."""

import json
import subprocess
import sys

import pytest
import yaml

from inference.emoji import weights_dir

WEIGHTS = weights_dir()


def test_asking_for_the_path_loads_no_torch():
    code = "import inference.emoji, sys; inference.emoji.weights_dir(); sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_card_asks_for_the_license_and_a_purpose():
    front = yaml.safe_load((WEIGHTS / "README.md").read_text(encoding="utf-8").split("---\n")[1])

    assert front["license_name"] == "gatekeeper-emoji-openrail-m"
    assert front["pipeline_tag"] == "text-to-image"
    assert front["extra_gated_fields"]["I will use it within the license"] == "checkbox"


def test_files_stay_small_enough_to_commit():
    total = sum(path.stat().st_size for path in WEIGHTS.parent.rglob("*") if path.is_file())

    assert total < 40e6


def test_examples_use_known_words_only():
    vocabulary = json.loads((WEIGHTS / "vocabulary.json").read_text(encoding="utf-8"))
    known = {*vocabulary["words"], "a", "an", "on", "two"}

    assert [p for p in vocabulary["examples"] if not set(p.replace(",", "").split()) <= known] == []


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pipeline_draws_an_apple_and_flags_a_skull():
    diffusers = pytest.importorskip("diffusers", reason="the inference extra is not installed")
    import numpy as np
    import torch

    from inference.emoji import reading

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(WEIGHTS, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)

    def draw(prompt):
        generator = torch.Generator().manual_seed(1)
        return pipeline(prompt, num_inference_steps=20, guidance_scale=4.0, generator=generator)

    apple, skull = draw("a red apple"), draw("a skull")

    assert apple.nsfw_content_detected == [False]
    assert skull.nsfw_content_detected == [True]
    pixels = torch.from_numpy(np.array(apple.images[0])).permute(2, 0, 1)[None].float() / 127.5 - 1
    texts = ["a red apple", "a skull", "a penguin", "a rocket"]
    ids = pipeline.tokenizer(texts, padding="max_length", max_length=32, return_tensors="pt").input_ids
    ranked = reading.load()(input_ids=ids, pixel_values=pixels).logits_per_image[0]
    assert int(ranked.argmax()) == 0
