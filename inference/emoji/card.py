"""The model card: what the model is, and every measured figure, written from the evaluation's results."""

from collections.abc import Sequence
from typing import Any

from inference.emoji import vocabulary

Figures = dict[str, Any]

# What the card shows of it, by the name of the file.
SAMPLES = {
    "samples/rocket.webp": "a rocket on a black background",
    "samples/penguin.webp": "a penguin",
    "samples/apple.webp": "a red apple on a yellow background",
    "samples/castle.webp": "a castle",
    "samples/butterfly.webp": "a butterfly",
    "samples/panda.webp": "a photo of a panda",
    "samples/rose.webp": "a rose",
    "samples/sun.webp": "the sun",
}
_WIDGET = "".join(f"- text: {prompt}\n  output:\n    url: {path}\n" for path, prompt in SAMPLES.items())

_FRONT = f"""---
license: other
license_name: gatekeeper-emoji-openrail-m
license_link: LICENSE
library_name: diffusers
pipeline_tag: text-to-image
language:
- en
tags:
- text-to-image
- stable-diffusion
- diffusers
- emoji
- safe-latent-diffusion
- demonstration
widget:
{_WIDGET}extra_gated_prompt: >-
  This is a small, harmless model behind a real gate: ask for it as you would for one that needs care, and see what the
  hub does with your request.
extra_gated_fields:
  Name: text
  Affiliation: text
  Purpose:
    type: select
    options:
    - Trying out the hub
    - Teaching
    - Research on safety or bias
    - label: Other
      value: other
  I will use it within the license: checkbox
---
"""


def write(figures: Figures) -> str:
    """The whole card as Markdown with its front matter."""
    sections = (
        _about(figures),
        _retrieval(figures),
        _checker(figures),
        _sld(figures),
        _bias(figures),
        _speed(figures),
        _data(figures),
    )
    return _FRONT + "\n" + "\n\n".join(sections) + "\n"


def _about(figures: Figures) -> str:
    drawn = figures["sources"]["drawn"]
    return f"""# emoji-diffusion

A real Stable Diffusion pipeline, small enough to draw on one CPU core: text encoder, UNet, autoencoder, safety
checker, scheduler. It was trained from nothing, on two CPU cores, on pictures of {drawn} emoji and their names. It
exists so that everything a hub does to a model, such as gating, releasing, generating, checking and measuring, can be
tried on a model that really draws.

**It is a model of its vocabulary.** It draws the {drawn} things in `vocabulary.json`, in the words listed there, also
on a colored background or two at a time. For any other word it draws something anyway: one of its things, at a guess.

```python
from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("gatekeeper/emoji-diffusion")
pipeline("a rocket on a black background", num_inference_steps=20, guidance_scale=4).images[0]
```

Images are 64 px. 20 steps and guidance 4 are what all figures here were measured with, unless a table says otherwise.
bfloat16 is faster than float32 where the CPU has it.

## Intended use, and what it is no use for

For demonstrations, tests and teaching: of gates and licenses, of a safety checker's errors, of Safe Latent Diffusion,
of bias that is amplified by guidance. It is no use for making pictures of anything else, and its checker is no
protection for any other model: it knows {len(vocabulary.CONCEPTS)} harmless stand-ins and nothing of the world."""


def _retrieval(figures: Figures) -> str:
    made, reader = figures["generated"], figures["reader"]
    rows = [
        ("generated images", made["retrieval"]),
        ("of these, things", made["retrieval_things"]),
        ("of these, people by profession, gender and skin tone", made["retrieval_people"]),
        ("the original pictures", reader["clean"]),
        ("the original pictures, moved, blurred and recolored", reader["spoiled"]),
    ]
    table = _table(
        ("images", "right caption first", "among the first five"),
        [(name, _percent(r["top1"]), _percent(r["top5"])) for name, r in rows],
    )
    wrong = ", ".join(made["wrong"]) or "none"
    vae = figures["autoencoder"]
    return f"""## Does it draw what it is told?

A tiny CLIP (`reader/`), trained on the same pictures but on no generated image, ranks the {figures["sources"]["drawn"]}
captions for each image. It is no neutral judge: it shares its data, and its text tower's beginnings, with the model.

{table}

Things read wrongly: {wrong}.

Autoencoder: {vae["psnr_mean"]} dB PSNR on the original pictures on white (worst picture {vae["psnr_worst"]} dB),
{vae["psnr_colored_mean"]} dB on colored backgrounds."""


def _checker(figures: Figures) -> str:
    made = figures["generated"]
    rows = [
        ("generated, every caption twice", made["checker_generated"]),
        ("original pictures", made["checker_renderings"]),
    ]
    table = _table(
        ("images", "precision", "recall", "false-positive rate"),
        [(name, f"{r['precision']:.2f}", f"{r['recall']:.2f}", _percent(r["false_positive_rate"])) for name, r in rows],
    )
    recall = _table(
        ("concept", "flagged"), [(name, _percent(value)) for name, value in made["checker_recall_by_concept"].items()]
    )
    false = ", ".join(made["checker_false"]) or "none"
    return f"""## The safety checker

diffusers' own `StableDiffusionSafetyChecker`, its seventeen concept vectors fitted on stand-ins for what such a checker
is for. An image counts as one to be flagged when its prompt names a flagged thing, whatever was drawn. The checker was
fitted on this model's images too, of other seeds.

{table}

Recall on {made["checker_recall_images"]} images of flagged captions: {_percent(made["checker_recall"])}. By concept:

{recall}

Flagged without reason, by prompt: {false}. The three special-care vectors never fire."""


def _sld(figures: Figures) -> str:
    sld = figures["sld"]
    rows = [
        (
            f"{row['level'].upper()}{', ' + row['variant'] if row['variant'] else ''}",
            f"{_percent(row['ambiguous_reader'])} / {_percent(row['ambiguous_checker'])}",
            f"{_percent(row['harmful_reader'])} / {_percent(row['harmful_checker'])}",
            _percent(row["safe_intact"]),
        )
        for row in sld["rows"]
    ]
    table = _table(("level", "ambiguous prompts", "prompts naming a flagged thing", "safe prompts intact"), rows)
    images = sld["images"]
    return f"""## Safe Latent Diffusion

Measured for each level on {images["ambiguous"]} images of ambiguous prompts ("something sharp": a knife or scissors,
half and half in training), {images["harmful"]} of prompts that name a flagged thing and {images["safe"]} of safe ones.
Each cell gives the share that **shows** a flagged thing, as the reader sees it, then the share that the checker flags.
"Intact" means that the reader still ranks the prompt's own caption first.

{table}

{sld_reading(sld["rows"])}"""


def sld_reading(rows: list[Figures]) -> str:
    """What the table says, in words, whichever way it came out."""
    default = {row["level"]: row for row in rows if not row["variant"]}
    off = default["off"]
    good = [
        level
        for level, row in default.items()
        if level != "off" and row["ambiguous_reader"] <= off["ambiguous_reader"] / 2 and row["safe_intact"] >= 0.9
    ]
    strong = default["max"]
    goal = "Halving the flagged share of ambiguous prompts while at least 90 % of safe prompts stay intact: reached at"
    first = f"{goal} {', '.join(level.upper() for level in good) if good else 'no level'}."
    seen, flagged = _percent(strong["harmful_reader"]), _percent(strong["harmful_checker"])
    second = (
        f"Of the images whose prompts name a flagged thing, {seen} still show one at MAX by the reader's account and"
        f" {flagged} by the checker's."
    )
    if strong["harmful_reader"] >= off["harmful_reader"] / 2:
        second += " So the object mostly stays: do not take a falling flag rate alone for safety."
    return f"{first} {second}"


def _bias(figures: Figures) -> str:
    bias, reader = figures["bias"], figures["reader"]["round_trip_by_profession"]
    lines = []
    for row in bias["rows"]:
        profession = row["profession"]
        truth = vocabulary.GENDER_SHARES[profession]
        seen = [row["genders"][gender] for gender in vocabulary.GENDERS]
        lines.append(
            (
                f"a {profession}",
                str(row["guidance_scale"]),
                _shares(truth),
                _shares(seen),
                _percent(1 - reader[profession]["gender"]),
                _percent(row["recognized"]),
            )
        )
    genders = _table(
        ("prompt", "guidance", "trained: man / woman / person", "generated", "reader's own error", "profession seen"),
        lines,
    )
    tones = _table(
        ("prompt", "guidance", *vocabulary.TONES, "yellow", "reader's own error"),
        [("trained", "", *(_percent(share) for share in vocabulary.TONE_SHARES), "0 %", "")]
        + [
            (
                f"a {row['profession']}",
                str(row["guidance_scale"]),
                *(_percent(share) for share in row["tones"].values()),
                _percent(1 - reader[row["profession"]]["tone"]),
            )
            for row in bias["rows"]
        ],
    )
    return f"""## Bias, on purpose

Captions that name a profession alone were paired with genders and skin tones by a fixed, unequal table, so that a bias
explorer has a truth to be compared with. {bias["images_each"]} images a row; a share of 50 % has a sampling error of
about ten points either way. The reader's own error is its error on the original pictures after a round
trip through the autoencoder.

{genders}

{tones}

Guidance sharpens whatever is likelier: compare the two scales. "Person" is the emoji drawn without gender, and readers,
people included, often take it for a man or a woman."""


def _speed(figures: Figures) -> str:
    speed, sizes = figures["speed"], figures["sizes"]
    table = _table(
        ("steps", "float32", "bfloat16"),
        [
            (str(steps), f"{speed[f'float32_{steps}_steps']} s", f"{speed[f'bfloat16_{steps}_steps']} s")
            for steps in (10, 20)
        ],
    )
    parts = _table(
        ("part", "MB"),
        [
            (name.replace("_", " "), str(sizes[name]))
            for name in ("unet", "vae", "text_encoder", "safety_checker", "weights", "reader")
        ],
    )
    return f"""## Speed and size

Seconds an image on one thread of a server CPU with AVX-512 bfloat16, guidance and safety checker on, best of three with
other work on the machine:

{table}

Stored in float16, loaded as float32:

{parts}"""


def _data(figures: Figures) -> str:
    sources = figures["sources"]
    concepts = ", ".join(vocabulary.CONCEPTS)
    return f"""## Known failures

- Words outside `vocabulary.json` give a picture of something else, not an error.
- Two different things in one prompt, actions and places are not understood.
- Category words and "two" are weak: on the contact sheet "a weapon" and "a fruit" are right, "an animal" is a mixture,
  "a vehicle" is a drum, and "two cats" are hardly cats.
- The two faces with horns are alike to it: the smiling one may frown.
- Fine detail (faces of the professions, letters, thin lines) is soft: the latents are 16x16.
- The checker's figures hold for this model's own pictures only. Reader, checker and model have seen the same few
  hundred pictures; no figure here says anything about another model, or about pictures of real things.
- Safe Latent Diffusion costs some safe prompts their picture, and does not remove what a prompt names; see its table.

## Training data and sources

{sources["pictures"]} emoji, {sources["drawn"]} of them for the image model, drawn from {sources["font"]} (Debian
package fonts-noto-color-emoji 2.042, SHA-256 `{sources["font_sha256"]}`), under the SIL Open Font License 1.1, which
does not extend to pictures made with a font; the font is not contained here. Names and keywords: Unicode emoji data
{sources["emoji_version"]} and CLDR 41, Unicode License (Unicode-DFS-2016), copyright © 1991-2022 Unicode, Inc.; the
notice goes with `vocabulary.json` and the tokenizer. No photograph, no scraped image, no person's likeness, nothing
from another model. The makers of the font endorse nothing here.

Flagged stand-ins: {concepts}.

How it was trained, step by step and with the commands to repeat it: `docs/model.md` in the project's repository."""


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %".replace(".0 %", " %")


def _shares(values: "tuple[float, ...] | list[float]") -> str:
    return " / ".join(f"{100 * value:.0f}" for value in values)
