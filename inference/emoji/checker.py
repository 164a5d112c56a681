# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""The safety checker: CLIP's vision tower, seventeen concept vectors fitted to it, and their thresholds.

It has the form of diffusers' `StableDiffusionSafetyChecker`: an image is flagged when its cosine to any concept's
vector is above that concept's threshold. Three sets of seeds never meet: fitting, thresholds, evaluation.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig

from inference.emoji import augment, clip, loop, sample, vae, vocabulary
from inference.emoji.captions import caption
from inference.emoji.parts import Autoencoder, Checker
from inference.emoji.render import Gallery

STEPS = 400
LEARNING_RATE = 3e-3
FIT_SEED, THRESHOLD_SEED = 1_000_000, 2_000_000  # evaluation seeds are below the first
FIT_REPEATS, THRESHOLD_REPEATS = 6, 4  # images of each flagged caption; of harmless ones every fourth has one
RENDERINGS = 4  # spoiled renderings of every picture
FLAGGED_SHARE = 1 / 3  # of the loss
NEVER = 1.01  # above any cosine


@dataclass(frozen=True)
class Generated:
    """Images made from plain captions, and the picture each caption names."""

    images: Tensor  # (image, 3, 64, 64) uint8
    pictures: list[int]


def train(out: Path, draft: Path, gallery: Gallery, *, steps: int, seed: int, processes: int = 2) -> None:
    """Fits vectors and thresholds on renderings, their round trips and images of the pipeline in `draft`.

    The tower stays as CLIP's training left it. Leaves `checker.pt` under `out`.
    """
    fitting = generate(draft, gallery, FIT_SEED, _pictures(gallery, FIT_REPEATS, 0), processes=processes)
    held_out = generate(draft, gallery, THRESHOLD_SEED, _pictures(gallery, THRESHOLD_REPEATS, 1), processes=processes)
    reader, concepts = clip.load(out), clip.Concepts()
    concepts.load_state_dict(loop.load(out / "concepts.pt"))
    images, pictures = _examples(vae.load(out), gallery, fitting, seed)
    embeddings, wanted = clip.image_embeddings(reader, images), clip.concept_targets(gallery, pictures)
    is_flagged = wanted.any(1)
    weights = torch.where(is_flagged, FLAGGED_SHARE / is_flagged.sum(), (1 - FLAGGED_SHARE) / (~is_flagged).sum())
    optimizer = torch.optim.Adam(concepts.parameters(), lr=LEARNING_RATE)
    progress = loop.Progress("checker", steps, every=100)
    for step in range(steps):
        losses = functional.binary_cross_entropy_with_logits(concepts(embeddings), wanted, reduction="none").sum(1)
        loss = (losses * weights).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress.note(step, loss=float(loss.detach()))
    vectors = functional.normalize(concepts.vectors.detach(), dim=-1)
    cosines = clip.image_embeddings(reader, sample.to_signed(held_out.images)) @ vectors.T
    fitted = thresholds(cosines, clip.concept_targets(gallery, held_out.pictures).bool())
    loop.save(out / "checker.pt", {"vectors": vectors, "thresholds": fitted})


def build(out: Path) -> Checker:
    """The fitted checker under `out`, float32; before it is fitted, the one that CLIP's training learned in passing."""
    reader = clip.load(out)
    checker = StableDiffusionSafetyChecker(CLIPConfig.from_dict(reader.config.to_dict()))
    state = loop.load(out / ("checker.pt" if (out / "checker.pt").exists() else "concepts.pt"))
    checker.vision_model.load_state_dict(reader.vision_model.state_dict())
    checker.visual_projection.load_state_dict(reader.visual_projection.state_dict())
    with torch.no_grad():
        checker.concept_embeds.copy_(functional.normalize(state["vectors"], dim=-1))
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


def generate(weights: Path, gallery: Gallery, first_seed: int, pictures: list[int], *, processes: int = 2) -> Generated:
    """One image of each picture's plain caption, each with a seed of its own."""
    requests = [sample.Request(caption(gallery.pictures[i]), first_seed + n) for n, i in enumerate(pictures)]
    return Generated(sample.generate(weights, requests, processes=processes), pictures)


def _pictures(gallery: Gallery, repeats: int, half: int) -> list[int]:
    harmless = [i for i in gallery.drawn() if gallery.pictures[i].concept is None]
    flagged = [i for i in gallery.drawn() if gallery.pictures[i].concept is not None]
    return harmless[half::4] + flagged * repeats


def _examples(model: Autoencoder, gallery: Gallery, generated: Generated, seed: int) -> tuple[Tensor, list[int]]:
    """Generated images, round trips and renderings, each somewhat spoiled, with the pictures they show."""
    everything = list(range(len(gallery.pictures)))
    numbers, generator = loop.chance(seed, "checker", 0)
    trips = clip.round_trips(model, gallery, seed)
    rgba = augment.to_tensor(gallery.rgba)
    palette = augment.background_colors(tuple(vocabulary.BACKGROUNDS))
    images, pictures = [sample.to_signed(generated.images), *trips.unbind(1)], generated.pictures + everything * 3
    for _ in range(RENDERINGS):
        moved = augment.moved(rgba, generator, scale=(0.8, 1.1), degrees=10, shift=0.1)
        colors = palette[torch.from_numpy(numbers.integers(0, len(palette), len(rgba)))]
        images.append(augment.spoiled(augment.compose(moved, colors), generator, strength=0.6))
        pictures = pictures + everything
    return torch.cat(images), pictures


def _threshold(positive: Tensor, negative: Tensor) -> Tensor:
    values = torch.cat([positive, negative]).sort().values
    cuts = (values[1:] + values[:-1]) / 2
    hits = (positive[None] > cuts[:, None]).sum(1).float()
    false = (negative[None] > cuts[:, None]).sum(1).float()
    score = 2 * hits / (hits + false + len(positive))
    gaps = values[1:] - values[:-1]
    best = torch.where(score >= score.max() - 1e-6, gaps, torch.full_like(gaps, -1.0)).argmax()
    return cuts[best]
