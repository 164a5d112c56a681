"""Pixels for training: composing pictures over colors, moving them about and spoiling them a little."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from inference.emoji import vocabulary
from inference.emoji.render import SIZE


def background_colors(names: Sequence[str]) -> Tensor:
    """The named backgrounds' colors.

    returns  (name, 3) float32 in [0, 1]
    """
    return torch.tensor([vocabulary.BACKGROUNDS[name] for name in names], dtype=torch.float32) / 255


def compose(rgba: Tensor, colors: Tensor) -> Tensor:
    """Puts pictures over plain colors.

    rgba     (batch, 4, height, width) float32 in [0, 1], premultiplied
    colors   (batch, 3) float32 in [0, 1]
    returns  (batch, 3, height, width) float32 in [-1, 1]
    """
    image = rgba[:, :3] + (1 - rgba[:, 3:]) * colors[:, :, None, None]
    return image.clamp(0, 1) * 2 - 1


def to_tensor(rgba: NDArray[np.uint8]) -> Tensor:
    """(..., height, width, channel) uint8 to (..., channel, height, width) float32 in [0, 1]."""
    return torch.from_numpy(rgba).movedim(-1, -3).float() / 255


def doubled(rgba: Tensor) -> Tensor:
    """Two half-size copies side by side, for captions that say "two".

    rgba and result  (batch, 4, 64, 64) float32 in [0, 1], premultiplied
    """
    half = functional.interpolate(rgba, scale_factor=0.5, mode="area")
    result = torch.zeros_like(rgba)
    top = SIZE // 4
    result[:, :, top : top + SIZE // 2, : SIZE // 2] = half
    result[:, :, top : top + SIZE // 2, SIZE // 2 :] = half
    return result


def moved(
    rgba: Tensor,
    generator: torch.Generator,
    *,
    scale: tuple[float, float],
    degrees: float,
    shift: float,
    rim: str = "zeros",
) -> Tensor:
    """Each picture scaled, turned and shifted by chance.

    rgba     (batch, channel, 64, 64) float32
    scale    range of the factor; below 1 the picture shrinks
    shift    largest displacement as a fraction of half the side
    rim      what comes in from outside: "zeros", which is transparent, or "border", the outermost pixels again
    """
    batch = rgba.shape[0]
    low, high = scale
    factor = 1 / (low + (high - low) * torch.rand(batch, generator=generator))
    angle = (torch.rand(batch, generator=generator) * 2 - 1) * degrees * torch.pi / 180
    offset = (torch.rand(batch, 2, generator=generator) * 2 - 1) * shift
    matrix = torch.zeros(batch, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = torch.cos(angle) * factor
    matrix[:, 0, 1] = -torch.sin(angle) * factor
    matrix[:, 1, 0] = torch.sin(angle) * factor
    matrix[:, :, 2] = offset
    grid = functional.affine_grid(matrix, list(rgba.shape), align_corners=False)
    return functional.grid_sample(rgba, grid, padding_mode=rim, align_corners=False)


def spoiled(images: Tensor, generator: torch.Generator, *, strength: float = 1.0) -> Tensor:
    """Blur, coarse pixels, noise and shifted colors, each on some of the images: what an autoencoder does to them.

    images and result  (batch, 3, 64, 64) float32 in [-1, 1]
    """
    batch = images.shape[0]

    def chosen(share: float) -> Tensor:
        return (torch.rand(batch, generator=generator) < share * strength)[:, None, None, None]

    images = torch.where(chosen(0.3), functional.avg_pool2d(images, 3, 1, 1, count_include_pad=False), images)
    coarse = functional.interpolate(functional.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    images = torch.where(chosen(0.2), coarse, images)
    level = torch.rand(batch, 1, 1, 1, generator=generator) * 0.15 * strength
    smooth = functional.interpolate(torch.randn(batch, 3, 16, 16, generator=generator), scale_factor=4, mode="bilinear")
    images = images + level * torch.randn(images.shape, generator=generator) * 0.7 + level * smooth
    gain = 1 + (torch.rand(batch, 3, 1, 1, generator=generator) - 0.5) * 0.3 * strength
    lift = (torch.rand(batch, 3, 1, 1, generator=generator) - 0.5) * 0.16 * strength
    return (images * gain + lift).clamp(-1, 1)
