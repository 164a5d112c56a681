"""The model that comes with the program, found without importing anything of the inference process."""

from importlib.util import find_spec
from pathlib import Path

NAMESPACE = "gatekeeper"
NAME = "emoji-diffusion"
LICENSE = "gatekeeper-emoji-openrail-m"


def bundled_model_dir() -> Path | None:
    """Its directory in diffusers' layout; None where the program was installed without it."""
    spec = find_spec("inference")
    for root in spec.submodule_search_locations or () if spec else ():
        weights = Path(root) / "emoji" / "weights"
        if (weights / "model_index.json").is_file():
            return weights
    return None
