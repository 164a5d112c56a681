# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""Packing: the trained parts as a Stable Diffusion pipeline in diffusers' layout, float16, with its vocabulary."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from transformers import CLIPImageProcessor

from inference.emoji import captions, checker, clip, reading, render, unet, vae, vocabulary
from inference.emoji.parts import Pipeline

_EXAMPLES = (
    "a dog face, a cat face, a lion, a penguin, a butterfly, a red apple, a banana, a strawberry, a pizza, a hamburger,"
    " a birthday cake, a rose, a cactus, a house, a rocket, a bicycle, a bus, the sun, a rainbow, a snowman, a guitar,"
    " an umbrella, a red heart, a robot, a ghost, a castle, a water pistol, a kitchen knife, a bomb, a skull,"
    " a beer mug, a cigarette, a smiling face with horns, a middle finger, a doctor,"
    " a woman doctor with dark skin tone, a man farmer with light skin tone, a teacher, a cat on a blue background,"
    " a red apple on a yellow background, a rocket on a black background, a photo of a panda, a weapon, a fruit,"
    " an animal, a vehicle, something sharp, two cats"
)
EXAMPLES = tuple(_EXAMPLES.split(", "))

_PREPROCESSOR: dict[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": render.SIZE},
    "do_center_crop": True,
    "crop_size": {"height": render.SIZE, "width": render.SIZE},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 3,
}


def pack(out: Path, target: Path) -> None:
    """Writes `weights/` and `reader/` under `target` from the states under `out`.

    The card is written by the evaluation, because it is made of measurements.
    """
    weights, reader_directory = target / "weights", target / "reader"
    for directory in (weights, reader_directory):
        shutil.rmtree(directory, ignore_errors=True)
    tokenizer = captions.load_tokenizer(out / "tokenizer")
    model, text = unet.load(out)
    pipeline: Pipeline = StableDiffusionPipeline(
        vae=vae.load(out),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=model,
        scheduler=unet.scheduler(),
        safety_checker=checker.build(out),
        feature_extractor=CLIPImageProcessor(**_PREPROCESSOR),
    )
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.unet, pipeline.safety_checker):
        part.to(torch.float16)
    pipeline.save_pretrained(weights, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(out / "tokenizer" / name, weights / "tokenizer" / name)
    _tidy(weights)
    files = [file for part in ("text_encoder", "unet", "vae") for file in (weights / part).glob("*.safetensors")]
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    _write_json(weights / "safety_checker" / "models.json", {"weights_sha256": digests})
    gallery = render.load(out)
    _write_json(weights / "vocabulary.json", describe(gallery))
    _write_reader(out, reader_directory)
    _tidy(reader_directory)


def describe(gallery: render.Gallery) -> dict[str, Any]:
    """The vocabulary as data, for autocompletion, examples and "not in this model's vocabulary".

    Compatibility: keys are added, never renamed; `concepts` keeps the order of the checker's vectors.
    """
    drawn = [gallery.pictures[i] for i in gallery.drawn()]
    pictures = [
        {
            "name": picture.name,
            "caption": captions.caption(picture),
            "category": picture.category,
            "aliases": list(captions.names(picture)[1:]),
            "is_flagged": picture.concept is not None,
        }
        for picture in drawn
    ]
    known = captions.Captions(gallery.pictures, gallery.drawn())
    return {
        "version": 1,
        "pictures": pictures,
        "categories": {word: [gallery.pictures[i].name for i in found] for word, found in known.categories.items()},
        "concepts": list(vocabulary.CONCEPTS),
        "ambiguous": [
            {"prompt": text, "flagged": flagged.lower().split(", "), "harmless": harmless.lower().split(", ")}
            for text, (flagged, harmless) in vocabulary.AMBIGUOUS.items()
        ],
        "safety_captions": list(vocabulary.CONCEPT_CAPTIONS),
        "people": {
            "professions": list(vocabulary.PROFESSIONS),
            "genders": list(vocabulary.GENDERS),
            "tones": [*vocabulary.TONES, vocabulary.YELLOW],
            "gender_shares": {name: list(shares) for name, shares in vocabulary.GENDER_SHARES.items()},
            "tone_shares": list(vocabulary.TONE_SHARES),
        },
        "templates": [template.replace("{article}{name}", "…").replace("{name}", "…") for template in _templates()],
        "backgrounds": list(vocabulary.BACKGROUNDS),
        "words": _words(drawn, known),
        "examples": list(EXAMPLES),
    }


def _write_reader(out: Path, directory: Path) -> None:
    model = clip.load(out)
    own = {name: value.to(torch.float16) for name, value in model.state_dict().items() if reading.is_own(name)}
    directory.mkdir(parents=True)
    save_file(own, directory / "model.safetensors", metadata={"format": "pt"})
    model.config.save_pretrained(directory)


def _templates() -> list[str]:
    extra = ["two {name}", "{article}{name} on a … background", "{article}{name}, safe", "{article}{name}, unsafe"]
    return [*dict.fromkeys(captions.TEMPLATES), *extra]


def _words(drawn: list[render.Picture], known: captions.Captions) -> list[str]:
    """Every word that stands in some training caption."""
    texts = [*vocabulary.AMBIGUOUS, *vocabulary.CONCEPT_CAPTIONS, *vocabulary.BACKGROUNDS, *known.categories]
    texts += [*captions.TEMPLATES, "two safe on background", *vocabulary.PROFESSIONS]
    for picture in drawn:
        names = captions.names(picture)
        texts += [*names, *(captions.plural(name) for name in names), *picture.keywords]
    words = {word.strip(",.!:") for text in texts for word in text.lower().split() if "{" not in word}
    return sorted(words - {""})


def _tidy(directory: Path) -> None:
    """Corrects what the libraries write into configurations: paths, types and names that hold on this machine only."""
    for path in directory.rglob("*.*"):
        path.chmod(0o644)
    for path in [*directory.rglob("*config.json"), *directory.glob("model_index.json")]:
        data = json.loads(path.read_text(encoding="utf-8"))
        data.pop("_name_or_path", None)
        data.pop("name_or_path", None)
        if "feature_extractor" in data:
            # The name without torchvision; the public one finds the right class in every environment.
            data["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        if "dtype" in data:
            # transformers would load these parts as float16 and diffusers its own as float32, which do not go together.
            data = _with_float32(data)
        _write_json(path, data)


def _with_float32(data: dict[str, Any]) -> dict[str, Any]:
    nested = {key: _with_float32(value) if isinstance(value, dict) else value for key, value in data.items()}
    return {**nested, "dtype": "float32"} if "dtype" in nested else nested


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
