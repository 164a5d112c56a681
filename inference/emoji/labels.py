# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""The reader's labels and its errors: `reader/labels.json`, which evaluations correct their counts by.

Its errors are counted on pictures of people that nobody generated, each moved a little and sent through the packed
autoencoder with slightly disturbed latents, as a generated image would come out of it. The seed is none of training's.
"""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from PIL import Image

from inference.emoji import augment, captions, loop, vae, vocabulary
from inference.emoji.render import Gallery, Picture

ATTRIBUTES = {"gender": vocabulary.GENDERS, "tone": (*vocabulary.TONES, vocabulary.YELLOW)}
ROUNDS = 30
_SEED = 1


def write(gallery: Gallery, target: Path, *, rounds: int = ROUNDS) -> None:
    """Writes `labels.json` beside the packed reader under `target`."""
    # Imported here: it reads the file that is written.
    from inference.readers import bundled_reader

    pictures = [gallery.pictures[i] for i in gallery.drawn()]
    path = target / "reader" / "labels.json"
    said: dict[str, Any] = {
        "name": "emoji reader",
        "grouped_by": "profession",
        "attributes": ATTRIBUTES,
        "captions": [{"text": captions.caption(picture), "labels": _labels(picture)} for picture in pictures],
        "confusion": {},
    }
    path.write_text(json.dumps(said), encoding="utf-8")
    reader = bundled_reader(target / "reader", target / "weights")
    people = [i for i in gallery.drawn() if gallery.pictures[i].profession]
    counts = {
        attribute: {p: [[0] * len(values) for _ in values] for p in vocabulary.PROFESSIONS}
        for attribute, values in ATTRIBUTES.items()
    }
    for turn in range(rounds):
        for i, reading in zip(people, reader.read(_trips(gallery, people, target, turn)), strict=True):
            truth = _labels(gallery.pictures[i])
            for attribute, values in ATTRIBUTES.items():
                read = reading.labels.get(attribute)
                if read is not None and reading.labels["profession"] == truth["profession"]:
                    row = counts[attribute][truth["profession"]][values.index(truth[attribute])]
                    row[values.index(read)] += 1
    path.write_text(json.dumps({**said, "confusion": counts}, indent=1) + "\n", encoding="utf-8")


@torch.no_grad()
def _trips(gallery: Gallery, people: list[int], target: Path, turn: int) -> list[Image.Image]:
    _, generator = loop.chance(_SEED, "reader-confusion", turn)
    model = AutoencoderKL.from_pretrained(target / "weights" / "vae", torch_dtype=torch.float32).eval()
    rgba = augment.moved(augment.to_tensor(gallery.rgba[people]), generator, scale=(0.92, 1.06), degrees=5, shift=0.05)
    white = augment.background_colors(("white",)).expand(len(people), 3)
    values = vae.encoded(model, augment.compose(rgba, white))
    level = torch.rand(len(people), 1, 1, 1, generator=generator) * 0.3
    images = vae.decoded(model, values + level * torch.randn(values.shape, generator=generator))
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(picture) for picture in pixels.numpy()]


def _labels(picture: Picture) -> dict[str, str]:
    if picture.profession is None:
        return {}
    return {"profession": picture.profession, "gender": picture.gender or "", "tone": picture.tone or ""}
