"""The reader: the tiny CLIP that says which caption fits a picture, put together from the packed files.

Its vision tower is the safety checker's, so only its text tower is stored beside the pipeline.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel

from inference.emoji import reader_dir, weights_dir
from inference.emoji.parts import Reader

_SHARED = ("vision_model.", "visual_projection.")


def load(weights: Path | None = None, directory: Path | None = None) -> Reader:
    """The reader as a `CLIPModel`, float32, for inference; its tokenizer is the pipeline's.

    Its pictures are 64 px, normalized to [-1, 1], as the pipeline's feature extractor makes them.
    """
    weights, directory = weights or weights_dir(), directory or reader_dir()
    tower = load_file(weights / "safety_checker" / "model.safetensors")
    state = load_file(directory / "model.safetensors")
    state |= {name: value for name, value in tower.items() if name.startswith(_SHARED)}
    model: Reader = CLIPModel(CLIPConfig.from_pretrained(directory))
    model.load_state_dict({name: value.to(torch.float32) for name, value in state.items()})
    return model.eval().requires_grad_(False)


def is_own(name: str) -> bool:
    """Whether a parameter of the CLIP is stored in the reader's own file."""
    return not name.startswith(_SHARED)
