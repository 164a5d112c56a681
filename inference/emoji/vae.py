# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""The autoencoder: 64 px pictures to 16x16x4 latents and back, and the latents the image model learns from."""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from inference.emoji import augment, loop, vocabulary
from inference.emoji.parts import Autoencoder
from inference.emoji.render import SIZE, Gallery

STEPS = 6000
CROP_SHARE = 0.7  # of the steps, on small crops: many more different patches for the same time
CROP, CROP_BATCH, FULL_BATCH = 32, 16, 8
LEARNING_RATE = 2e-3
KL_WEIGHT = 1e-3
LATENT_SIDE, LATENT_CHANNELS = 16, 4


def build() -> Autoencoder:
    """The untrained autoencoder."""
    return AutoencoderKL(
        block_out_channels=(32, 64, 96),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=16,
        latent_channels=LATENT_CHANNELS,
        mid_block_add_attention=False,
        sample_size=SIZE,
        scaling_factor=1.0,
    )


def train(out: Path, gallery: Gallery, *, steps: int, seed: int, resume: bool) -> Autoencoder:
    """Trains for `steps` steps and leaves `vae/` under `out`, its latents normalized channel by channel."""
    torch.manual_seed(seed)
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.0, betas=(0.9, 0.99))
    state_path, first = out / "vae.pt", 0
    if resume and state_path.exists():
        state = loop.load(state_path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    rgba = augment.to_tensor(gallery.rgba)
    weights = _weights(rgba)
    progress = loop.Progress("vae", steps)
    for step in range(first, steps):
        numbers, generator = loop.chance(seed, "vae", step)
        is_crop = step < CROP_SHARE * steps
        images = _batch(rgba, weights, numbers, generator, is_crop=is_crop)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * loop.cosine(step, steps, flat_share=0.3)
        with loop.autocast():
            posterior = model.encode(images).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=generator)
            output = model.decode(posterior.mean + posterior.std * noise).sample.float()
        loss, squared = _loss(output, images)
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        (loss + KL_WEIGHT * kl).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress.note(
            step, loss=float(loss.detach()), psnr=-10 * float(torch.log10(squared / 4)), kl=float(kl.detach())
        )
        if progress.save_is_due() or step + 1 == steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            loop.save(state_path, state)
    model.eval()
    fold(model, *_statistics(model, rgba))
    model.save_pretrained(out / "vae.part")
    (out / "vae.part").rename(out / "vae")  # in one move: CLIP's training waits for this name
    return model


def load(out: Path) -> Autoencoder:
    """The trained autoencoder under `out`, float32, for inference."""
    model: Autoencoder = AutoencoderKL.from_pretrained(out / "vae")
    return model.eval().requires_grad_(False)


def fold(model: Autoencoder, mean: Tensor, std: Tensor) -> None:
    """Folds the latents' mean and spread into the 1x1 convolutions, so that they leave with mean 0 and spread 1.

    The pipeline knows one scaling factor and no shift, so this is the only place for them.

    mean, std  (4,) float32
    """
    with torch.no_grad():
        quant, post = model.quant_conv, model.post_quant_conv
        post.bias += post.weight[:, :, 0, 0] @ mean
        post.weight *= std[None, :, None, None]
        quant.weight[:LATENT_CHANNELS] /= std[:, None, None, None]
        quant.bias[:LATENT_CHANNELS] = (quant.bias[:LATENT_CHANNELS] - mean) / std
        quant.bias[LATENT_CHANNELS:] -= 2 * std.log()


@torch.no_grad()
def latents(model: Autoencoder, gallery: Gallery) -> Tensor:
    """The latents of every drawn picture over every background, and doubled on white.

    returns  (picture, variant, 4, 16, 16) float32; variants are `vocabulary.BACKGROUNDS` in order, then "two"
    """
    rgba = augment.to_tensor(gallery.rgba[gallery.drawn()])
    colors = augment.background_colors(tuple(vocabulary.BACKGROUNDS))
    images = [augment.compose(rgba, color.expand(len(rgba), 3)) for color in colors]
    images.append(augment.compose(augment.doubled(rgba), colors[0].expand(len(rgba), 3)))
    variants = [torch.cat([encoded(model, part) for part in image.split(64)]) for image in images]
    return torch.stack(variants, dim=1)


@torch.no_grad()
def encoded(model: Autoencoder, images: Tensor) -> Tensor:
    """Latent means of (batch, 3, 64, 64) images in [-1, 1]: (batch, 4, 16, 16) float32."""
    with loop.autocast():
        result: Tensor = model.encode(images).latent_dist.mean
    return result.float()


@torch.no_grad()
def decoded(model: Autoencoder, values: Tensor) -> Tensor:
    """Images of (batch, 4, 16, 16) latents: (batch, 3, 64, 64) float32 in [-1, 1]."""
    with loop.autocast():
        result: Tensor = model.decode(values).sample
    return result.float().clamp(-1, 1)


def psnr(model: Autoencoder, images: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image's round trip.

    images   (batch, 3, 64, 64) float32 in [-1, 1]
    returns  (batch,) float32, decibels
    """
    trips = torch.cat([decoded(model, encoded(model, part)) for part in images.split(64)])
    return -10 * torch.log10(((trips - images) / 2).pow(2).mean(dim=(1, 2, 3)))


def _weights(rgba: Tensor) -> NDArray[np.float64]:
    """Saturated pictures count more, purple ones most: both are rare and came out grey when they did not."""
    red, green, blue, alpha = rgba.unbind(1)
    saturation = rgba[:, :3].amax(1) - rgba[:, :3].amin(1)
    purple = (torch.minimum(red, blue) - green).clamp(min=0)
    area = alpha.mean(dim=(1, 2)) + 0.05
    weights = 1 + saturation.mean(dim=(1, 2)) / area + 8 * purple.mean(dim=(1, 2)) / area
    result: NDArray[np.float64] = (weights / weights.sum()).double().numpy()
    result /= result.sum()
    return result


def _batch(
    rgba: Tensor,
    weights: NDArray[np.float64],
    numbers: np.random.Generator,
    generator: torch.Generator,
    *,
    is_crop: bool,
) -> Tensor:
    size = CROP_BATCH if is_crop else FULL_BATCH
    chosen = rgba[numbers.choice(len(rgba), size, p=weights)]
    pictures = augment.moved(chosen, generator, scale=(0.45, 1.1), degrees=10, shift=0.15)
    still = torch.rand(size, generator=generator) < 0.4
    pictures = torch.where(still[:, None, None, None], chosen, pictures)
    palette = augment.background_colors(tuple(vocabulary.BACKGROUNDS))
    colors = torch.rand(size, 3, generator=generator)
    kind = torch.rand(size, generator=generator)
    named = palette[torch.randint(len(palette), (size,), generator=generator)]
    colors = torch.where((kind < 0.8)[:, None], named, colors)
    colors = torch.where((kind < 0.45)[:, None], palette[:1].expand(size, 3), colors)
    images = augment.compose(pictures, colors)
    if not is_crop:
        return images
    corners = numbers.integers(0, SIZE - CROP + 1, size=(size, 2))
    crops = [image[:, y : y + CROP, x : x + CROP] for image, (y, x) in zip(images, corners, strict=True)]
    return torch.stack(crops)


def _loss(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    difference = output - target
    across = difference.diff(dim=3).abs().mean()
    down = difference.diff(dim=2).abs().mean()
    squared = difference.pow(2).mean()
    return difference.abs().mean() + 2 * squared + 0.25 * (across + down), squared.detach()


def _statistics(model: Autoencoder, rgba: Tensor) -> tuple[Tensor, Tensor]:
    white = torch.ones(len(rgba), 3)
    images = augment.compose(rgba, white)
    values = torch.cat([encoded(model, part) for part in images.split(64)])
    return values.mean(dim=(0, 2, 3)), values.std(dim=(0, 2, 3))
