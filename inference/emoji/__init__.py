"""The bundled model: a tiny Stable Diffusion trained here, from nothing, on emoji and their names.

`weights/` is a complete pipeline directory and all a server needs; `reader/` is the tiny CLIP that labels pictures.
Everything else in this package trains, packs and measures them (`python -m inference.emoji.train`) and is never
imported to serve an image.
"""

from pathlib import Path

__all__ = ["reader_dir", "weights_dir"]


def weights_dir() -> Path:
    """The directory of the packed pipeline, in diffusers' layout, for `StableDiffusionPipeline.from_pretrained`."""
    return Path(__file__).parent / "weights"


def reader_dir() -> Path:
    """The directory of the tiny CLIP that reads captions off pictures, for `CLIPModel.from_pretrained`."""
    return Path(__file__).parent / "reader"
