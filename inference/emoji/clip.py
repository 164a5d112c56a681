# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""The tiny CLIP: ranks captions for a picture, reads attributes off it, and lends its towers to model and checker."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from inference.emoji import augment, loop, vae, vocabulary
from inference.emoji.captions import LENGTH, NAMES_ONLY, READER_SHARES, Captions, Sample, load_tokenizer
from inference.emoji.parts import Autoencoder, Reader
from inference.emoji.render import SIZE, Gallery

STEPS = 2300
BATCH = 128
LEARNING_RATE = 1e-3
ROUND_TRIP_SHARE = 0.75  # of the steps; after it some of the images have been through the autoencoder
CONCEPT_WEIGHT = 0.3
CONCEPT_SCALE = 20.0
PROJECTION = 128


def build(tokenizer: CLIPTokenizer) -> Reader:
    """The untrained CLIP, its special tokens set to the tokenizer's."""
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
        "projection_dim": PROJECTION,
        **special,
    }
    vision = {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": SIZE,
        "patch_size": 16,
        "projection_dim": PROJECTION,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION))


class Concepts(nn.Module):
    """One vector and one threshold for each flagged concept, learned along with CLIP."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(len(vocabulary.CONCEPTS), PROJECTION) * 0.1)
        self.thresholds = nn.Parameter(torch.full((len(vocabulary.CONCEPTS),), 0.5))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits of each concept, from (batch, 128) normalized image embeddings: (batch, concept)."""
        cosines = embeddings @ functional.normalize(self.vectors, dim=-1).T
        return CONCEPT_SCALE * (cosines - self.thresholds)


def train(out: Path, gallery: Gallery, *, steps: int, seed: int, resume: bool) -> Reader:
    """Trains for `steps` steps and leaves `clip/` and `concepts.pt` under `out`.

    At three quarters it waits for the finished autoencoder, so that the result does not depend on who is faster.
    """
    torch.manual_seed(seed + 1)
    tokenizer = load_tokenizer(out / "tokenizer")
    model, concepts = build(tokenizer), Concepts()
    with torch.no_grad():
        model.logit_scale.fill_(np.log(14.0))
    parameters = [*model.parameters(), *concepts.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.05, betas=(0.9, 0.98))
    state_path, first = out / "clip.pt", 0
    if resume and state_path.exists():
        state = loop.load(state_path)
        model.load_state_dict(state["model"])
        concepts.load_state_dict(state["concepts"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    source = _Source(out, gallery, seed)
    progress = loop.Progress("clip", steps)
    for step in range(first, steps):
        numbers, generator = loop.chance(seed, "clip", step)
        samples, images = source.batch(numbers, generator, with_round_trips=step >= ROUND_TRIP_SHARE * steps)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * loop.cosine(step, steps, flat_share=0.1, warmup=150)
        ids = tokens(tokenizer, [sample.text for sample in samples])
        with loop.autocast():
            result = model(input_ids=ids, pixel_values=images)
        similarity = model.logit_scale.exp() * result.text_embeds.float() @ result.image_embeds.float().T
        contrast, rank = _contrast(similarity, _targets(samples))
        wanted = concept_targets(gallery, [sample.picture for sample in samples])
        spotting = functional.binary_cross_entropy_with_logits(
            concepts(result.image_embeds.float()), wanted, reduction="sum"
        ) / len(samples)
        (contrast + CONCEPT_WEIGHT * spotting).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(100)))
        progress.note(step, contrast=float(contrast.detach()), concept=float(spotting.detach()), top1=rank)
        if progress.save_is_due() or step + 1 == steps:
            state = {"model": model.state_dict(), "concepts": concepts.state_dict()}
            loop.save(state_path, {**state, "optimizer": optimizer.state_dict(), "step": step + 1})
    model.eval().save_pretrained(out / "clip")
    loop.save(out / "concepts.pt", concepts.state_dict())
    return model


def load(out: Path) -> Reader:
    """The trained CLIP under `out`, float32, for inference."""
    model: Reader = CLIPModel.from_pretrained(out / "clip")
    return model.eval().requires_grad_(False)


def tokens(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Token ids of the texts, padded and cut to the model's length: (text, 32) int64."""
    ids: Tensor = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    ).input_ids
    return ids


@torch.no_grad()
def text_embeddings(model: Reader, tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Normalized embeddings of captions: (text, 128) float32."""
    pooled = model.text_model(input_ids=tokens(tokenizer, texts)).pooler_output
    return functional.normalize(model.text_projection(pooled).float(), dim=-1)


@torch.no_grad()
def image_embeddings(model: Reader, images: Tensor) -> Tensor:
    """Normalized embeddings of (batch, 3, 64, 64) images in [-1, 1]: (batch, 128) float32."""
    parts = [model.visual_projection(model.vision_model(pixel_values=p).pooler_output) for p in images.split(128)]
    return functional.normalize(torch.cat(parts).float(), dim=-1)


def concept_targets(gallery: Gallery, pictures: Sequence[int]) -> Tensor:
    """Which concept each picture shows: (picture, concept) float32 of zeros and ones."""
    wanted = torch.zeros(len(pictures), len(vocabulary.CONCEPTS))
    for row, picture in enumerate(pictures):
        concept = gallery.pictures[picture].concept
        if concept is not None:
            wanted[row, concept] = 1
    return wanted


class _Source:
    """Draws batches of captions with their augmented pictures."""

    def __init__(self, out: Path, gallery: Gallery, seed: int) -> None:
        self._out, self._gallery, self._seed = out, gallery, seed
        self._rgba = augment.to_tensor(gallery.rgba)
        self._drawn = Captions(gallery.pictures, gallery.named(), READER_SHARES)
        extra = [i for i, picture in enumerate(gallery.pictures) if not picture.is_named]
        self._extra = Captions(gallery.pictures, extra, NAMES_ONLY)
        self._trips: Tensor | None = None

    def batch(
        self, numbers: np.random.Generator, generator: torch.Generator, *, with_round_trips: bool
    ) -> tuple[list[Sample], Tensor]:
        samples = [(self._drawn if numbers.random() < 0.72 else self._extra).draw(numbers) for _ in range(BATCH)]
        rgba = self._rgba[[sample.picture for sample in samples]]
        two = torch.tensor([sample.is_two for sample in samples])[:, None, None, None]
        rgba = torch.where(two, augment.doubled(rgba), rgba)
        rgba = augment.moved(rgba, generator, scale=(0.75, 1.1), degrees=14, shift=0.14)
        images = augment.compose(rgba, self._colors(samples, numbers, generator))
        if with_round_trips:
            images = self._with_trips(samples, images, numbers, generator)
        return samples, augment.spoiled(images, generator)

    def _colors(self, samples: list[Sample], numbers: np.random.Generator, generator: torch.Generator) -> Tensor:
        colors = torch.rand(len(samples), 3, generator=generator)
        palette = augment.background_colors(tuple(vocabulary.BACKGROUNDS))
        for i, sample in enumerate(samples):
            chance = numbers.random()
            if sample.background is not None:
                colors[i] = augment.background_colors((sample.background,))[0]
            elif chance < 0.55:
                colors[i] = palette[0]
            elif chance < 0.85:
                colors[i] = palette[numbers.integers(len(palette))]
        return colors

    def _with_trips(
        self, samples: list[Sample], images: Tensor, numbers: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        if self._trips is None:
            self._trips = round_trips(_awaited_vae(self._out), self._gallery, self._seed)
        chosen = [i for i, s in enumerate(samples) if s.background is None and not s.is_two and numbers.random() < 0.5]
        trips = self._trips[[samples[i].picture for i in chosen], torch.from_numpy(numbers.integers(0, 3, len(chosen)))]
        images[chosen] = augment.moved(trips, generator, scale=(0.97, 1.12), degrees=6, shift=0.06, rim="border")
        return images


@torch.no_grad()
def round_trips(model: Autoencoder, gallery: Gallery, seed: int) -> Tensor:
    """Every picture through the autoencoder, on white and on two colors by chance, its latents slightly disturbed.

    returns  (picture, 3, 3, 64, 64) float32 in [-1, 1]
    """
    numbers, generator = loop.chance(seed, "round-trips", 0)
    rgba = augment.to_tensor(gallery.rgba)
    palette = augment.background_colors(tuple(vocabulary.BACKGROUNDS))
    trips = []
    for variant in range(3):
        picked = numbers.integers(1, len(palette), len(rgba)) if variant else np.zeros(len(rgba), int)
        images = augment.compose(rgba, palette[torch.from_numpy(picked)])
        parts = []
        for part in images.split(64):
            values = vae.encoded(model, part)
            level = torch.rand(len(part), 1, 1, 1, generator=generator) * 0.3
            parts.append(vae.decoded(model, values + level * torch.randn(values.shape, generator=generator)))
        trips.append(torch.cat(parts))
    return torch.stack(trips, dim=1)


def _awaited_vae(out: Path) -> Autoencoder:
    while not (out / "vae").exists():
        time.sleep(2)
    return vae.load(out)


def _targets(samples: list[Sample]) -> Tensor:
    """(text, image) float32: 1 where the text fits the image, whatever caption that image was drawn with."""
    rows = [
        [
            float(
                image.picture in text.matches
                and text.is_two == image.is_two
                and (text.background is None or text.background == image.background)
            )
            for image in samples
        ]
        for text in samples
    ]
    return torch.tensor(rows)


def _contrast(similarity: Tensor, fits: Tensor) -> tuple[Tensor, float]:
    """CLIP's symmetric loss with several right answers, and the share of images whose best text is a right one."""
    by_text = fits / fits.sum(1, keepdim=True)
    by_image = fits.T / fits.T.sum(1, keepdim=True)
    loss = functional.cross_entropy(similarity, by_text) + functional.cross_entropy(similarity.T, by_image)
    best = similarity.argmax(0)
    return loss / 2, float(fits[best, torch.arange(fits.shape[1])].mean())
