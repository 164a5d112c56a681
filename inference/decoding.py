"""From final latents to pixels, in the release thread: images that ended in one tick share a call where they may."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inference.batching import in_sizes
from inference.denoising import Sample, dtype_name
from inference.fleet import Model
from inference.line import FloatImage, Making
from inference.ticket import Ticket

log = logging.getLogger(__name__)


class Decoding:
    """Images of one model and one size that ended together, decoded when the first of them is asked for.

    latents  (image, channel, height, width), of a size that `batching` has proven
    """

    def __init__(self, model: Model, latents: Tensor) -> None:
        self._model = model
        self._latents = latents
        self._images: npt.NDArray[np.float32] | None = None
        self._is_apart = len(latents) == 1

    def pixels(self, index: int) -> FloatImage:
        """(3, height, width) float32 in about [0, 1]: one of the images."""
        if not self._is_apart and self._images is None:
            try:
                self._images = decode(self._model, self._latents)
            except Exception as error:  # out of memory, or one image's latents: each is tried by itself
                log.error("%d images could not be decoded at once: %s", len(self._latents), type(error).__name__)
                self._is_apart = True
        if self._images is not None:
            image: FloatImage = self._images[index]
            return image
        apart: FloatImage = decode(self._model, self._latents[index : index + 1])[0]
        return apart


def finished_images(samples: list[Sample]) -> Iterator[Making]:
    """What is to be checked of samples that ended in one tick; they are of one group."""
    for group in in_sizes(samples, _sizes(samples[0]) if samples else (1,)):
        decoding = Decoding(group[0].ticket.request.model, torch.cat([sample.latents for sample in group]))
        sharing = tuple(sample.ticket for sample in group)
        for place, sample in enumerate(group):
            yield _making(sample, partial(decoding.pixels, place), sharing)


def look_at(sample: Sample, latents: Tensor) -> Making:
    """What is to be checked of an image that is not finished, seen as these latents."""
    decoding = Decoding(sample.ticket.request.model, latents)
    return replace(_making(sample, partial(decoding.pixels, 0), (sample.ticket,)), look=sample.steps_done)


def decode(model: Model, latents: Tensor) -> npt.NDArray[np.float32]:
    """(image, 3, height, width) float32 in about [0, 1] from final latents (image, channel, height, width).

    Not clamped: infinity would become white, and nobody could tell any more.
    """
    with torch.inference_mode():
        images = decoded(model.parts["vae"], latents.to(model.dtype))
        pixels: npt.NDArray[np.float32] = (images.float() / 2 + 0.5).cpu().numpy()
    return pixels


def decoded(vae: Any, latents: Tensor) -> Tensor:
    """(image, 3, height, width) in about [-1, 1], as diffusers' pipelines call the decoder."""
    config = vae.config
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and deviation is not None:
        shape = (1, len(mean), 1, 1)
        latents = latents * latents.new_tensor(deviation).view(shape) / config.scaling_factor
        latents = latents + latents.new_tensor(mean).view(shape)
    else:
        latents = latents / config.scaling_factor
    images: Tensor = vae.decode(latents, return_dict=False)[0]
    return images


def _making(sample: Sample, pixels: Callable[[], FloatImage], sharing: tuple[Ticket, ...]) -> Making:
    request = sample.ticket.request
    return Making(
        ticket=sample.ticket,
        index=sample.index,
        pixels=pixels,
        bucket=sample.bucket,
        scheduler=str(request.scheduler),
        dtype=dtype_name(request.model.dtype),
        decoding=sharing,
        sld_effect=sample.sld_effect,
    )


def _sizes(sample: Sample) -> tuple[int, ...]:
    """How many images like this one may be decoded in one call: proven for the model's default size only."""
    request = sample.ticket.request
    is_default = (request.width, request.height) == (request.model.default_width, request.model.default_height)
    return request.model.image_sizes if is_default else (1,)
