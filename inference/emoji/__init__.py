"""The bundled model: a tiny Stable Diffusion trained here, from nothing, on emoji and their names.

`weights/` is a complete pipeline directory and all a server needs; `reader/` and `reading.py` are the tiny CLIP that
labels pictures. Everything else in this package trains, packs and measures them (`python -m inference.emoji.train`) and
is never imported to serve an image.
"""

from pathlib import Path

__all__ = ["reader_dir", "weights_dir"]


def weights_dir() -> Path:
    """The directory of the packed pipeline, in diffusers' layout, for `StableDiffusionPipeline.from_pretrained`."""
    return Path(__file__).parent / "weights"


def reader_dir() -> Path:
    """The directory of the tiny CLIP's own part, for `inference.emoji.reading.load`, which labels pictures."""
    return Path(__file__).parent / "reader"
