# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""The safety checker: CLIP's vision tower trained on to spot the seventeen flagged concepts, and its thresholds.

It has the form of diffusers' `StableDiffusionSafetyChecker`: an image is flagged when its cosine to any concept's
vector is above that concept's threshold. Three sets of seeds never meet: fitting, thresholds, evaluation.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig

from inference.emoji import augment, clip, loop, sample, vae, vocabulary
from inference.emoji.captions import caption
from inference.emoji.parts import Autoencoder, Checker
from inference.emoji.render import Gallery

STEPS = 240
BATCH = 96
LEARNING_RATE = 2e-4
FIT_SEED, THRESHOLD_SEED = 1_000_000, 2_000_000  # evaluation seeds are below the first
FLAGGED_REPEATS, THRESHOLD_REPEATS = 12, 6
FLAGGED_SHARE = 1 / 3  # of every batch
NEVER = 1.01  # above any cosine


@dataclass(frozen=True)
class Generated:
    """Images made from plain captions, and the picture each caption names."""

    images: Tensor  # (image, 3, 64, 64) uint8
    pictures: list[int]


def train(out: Path, draft: Path, gallery: Gallery, *, steps: int, seed: int, processes: int = 2) -> None:
    """Fits the checker on renderings, their round trips and images of the pipeline in `draft`.

    Leaves `checker.pt` under `out`: the tower, its projection, the vectors and the thresholds.
    """
    fitting = generate(draft, gallery, FIT_SEED, flagged_repeats=FLAGGED_REPEATS, processes=processes)
    held_out = generate(draft, gallery, THRESHOLD_SEED, flagged_repeats=THRESHOLD_REPEATS, processes=processes)
    torch.manual_seed(seed + 3)
    reader = clip.load(out)
    concepts = clip.Concepts()
    concepts.load_state_dict(loop.load(out / "concepts.pt"))
    trained = [*reader.vision_model.parameters(), *reader.visual_projection.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    trained += list(concepts.parameters())
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.05, betas=(0.9, 0.98))
    source = _Source(vae.load(out), gallery, fitting, seed)
    progress = loop.Progress("checker", steps, every=20)
    for step in range(steps):
        images, wanted = source.batch(*loop.chance(seed, "checker", step))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * loop.cosine(step, steps, flat_share=0.2, warmup=20)
        with loop.autocast():
            pooled = reader.vision_model(pixel_values=images).pooler_output
            embeddings = reader.visual_projection(pooled)
        logits = concepts(functional.normalize(embeddings.float(), dim=-1))
        loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / len(images)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress.note(step, loss=float(loss.detach()))
    vectors = functional.normalize(concepts.vectors.detach(), dim=-1)
    cosines = clip.image_embeddings(reader, sample.to_signed(held_out.images)) @ vectors.T
    wanted = clip.concept_targets(gallery, held_out.pictures).bool()
    state = {
        "vision_model": reader.vision_model.state_dict(),
        "visual_projection": reader.visual_projection.state_dict(),
        "vectors": vectors,
        "thresholds": thresholds(cosines, wanted),
    }
    loop.save(out / "checker.pt", state)


def build(out: Path) -> Checker:
    """The fitted checker under `out`, float32; before it is fitted, the one that CLIP's training learned in passing."""
    reader = clip.load(out)
    checker = StableDiffusionSafetyChecker(CLIPConfig.from_dict(reader.config.to_dict()))
    if (out / "checker.pt").exists():
        state = loop.load(out / "checker.pt")
    else:
        concepts = loop.load(out / "concepts.pt")
        state = {
            "vision_model": reader.vision_model.state_dict(),
            "visual_projection": reader.visual_projection.state_dict(),
            "vectors": functional.normalize(concepts["vectors"], dim=-1),
            "thresholds": concepts["thresholds"],
        }
    checker.vision_model.load_state_dict(state["vision_model"])
    checker.visual_projection.load_state_dict(state["visual_projection"])
    with torch.no_grad():
        checker.concept_embeds.copy_(state["vectors"])
        checker.concept_embeds_weights.copy_(state["thresholds"])
        # Special care would make all concepts stricter after a hit; seventeen fitted thresholds need no such help.
        checker.special_care_embeds.copy_(state["vectors"][:3])
        checker.special_care_embeds_weights.fill_(NEVER)
    return checker.eval()


@torch.no_grad()
def scores(checker: Checker, images: Tensor) -> Tensor:
    """Cosine minus threshold of each concept; an image with any score above 0 is flagged.

    images   (batch, 3, 64, 64) float32 in [-1, 1]
    returns  (batch, concept) float32
    """
    parts = [checker.visual_projection(checker.vision_model(part).pooler_output) for part in images.split(128)]
    embeddings = functional.normalize(torch.cat(parts).float(), dim=-1)
    cosines = embeddings @ functional.normalize(checker.concept_embeds.float(), dim=-1).T
    result: Tensor = cosines - checker.concept_embeds_weights.float()
    return result


def thresholds(cosines: Tensor, wanted: Tensor) -> Tensor:
    """The threshold of each concept with the best F1; among equals, the middle of the widest gap.

    cosines  (image, concept) float32
    wanted   (image, concept) bool; images of other flagged concepts are left out of a concept's negatives
    returns  (concept,) float32
    """
    is_harmless = ~wanted.any(1)
    return torch.stack([_threshold(cosines[wanted[:, i], i], cosines[is_harmless, i]) for i in range(cosines.shape[1])])


def generate(
    weights: Path, gallery: Gallery, first_seed: int, *, flagged_repeats: int, repeats: int = 1, processes: int = 2
) -> Generated:
    """Images of every drawn picture's plain caption, the flagged ones more often."""
    pictures: list[int] = []
    for i in gallery.drawn():
        pictures += [i] * (repeats if gallery.pictures[i].concept is None else flagged_repeats)
    requests = [sample.Request(caption(gallery.pictures[i]), first_seed + n) for n, i in enumerate(pictures)]
    return Generated(sample.generate(weights, requests, processes=processes), pictures)


class _Source:
    """Half generated images, a quarter round trips, a quarter renderings; flagged ones drawn more often."""

    def __init__(self, model: Autoencoder, gallery: Gallery, generated: Generated, seed: int) -> None:
        self._gallery, self._generated = gallery, generated
        self._images = sample.to_signed(generated.images)
        self._trips = clip.round_trips(model, gallery, seed)
        self._rgba = augment.to_tensor(gallery.rgba)
        self._palette = augment.background_colors(tuple(vocabulary.BACKGROUNDS))
        everything = list(range(len(gallery.pictures)))
        self._of_pictures, self._of_generated = self._weights(everything), self._weights(generated.pictures)

    def batch(self, numbers: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        half, quarter = BATCH // 2, BATCH // 4
        made = _pick(self._of_generated, half, generator)
        tripped = _pick(self._of_pictures, quarter, generator)
        rendered = _pick(self._of_pictures, quarter, generator)
        rgba = augment.moved(self._rgba[rendered], generator, scale=(0.75, 1.1), degrees=12, shift=0.12)
        colors = self._palette[torch.from_numpy(numbers.integers(0, len(self._palette), quarter))]
        known = torch.cat([self._images[made], self._trips[tripped, torch.from_numpy(numbers.integers(0, 3, quarter))]])
        known = augment.moved(known, generator, scale=(0.97, 1.12), degrees=6, shift=0.06, rim="border")
        images = torch.cat([known, augment.compose(rgba, colors)])
        pictures = [self._generated.pictures[i] for i in made.tolist()] + torch.cat([tripped, rendered]).tolist()
        return augment.spoiled(images, generator, strength=0.6), clip.concept_targets(self._gallery, pictures)

    def _weights(self, pictures: list[int]) -> Tensor:
        flagged = torch.tensor([self._gallery.pictures[i].concept is not None for i in pictures])
        # A third of each batch is flagged, however many flagged pictures there are.
        return torch.where(flagged, FLAGGED_SHARE / flagged.sum(), (1 - FLAGGED_SHARE) / (~flagged).sum())


def _pick(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def _threshold(positive: Tensor, negative: Tensor) -> Tensor:
    values = torch.cat([positive, negative]).sort().values
    cuts = (values[1:] + values[:-1]) / 2
    hits = (positive[None] > cuts[:, None]).sum(1).float()
    false = (negative[None] > cuts[:, None]).sum(1).float()
    score = 2 * hits / (hits + false + len(positive))
    gaps = values[1:] - values[:-1]
    best = torch.where(score >= score.max() - 1e-6, gaps, torch.full_like(gaps, -1.0)).argmax()
    return cuts[best]
