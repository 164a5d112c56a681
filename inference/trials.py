"""Made-up inputs for a model's parts, to measure, prove and warm up with before anybody's order depends on them."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from inference.denoising import call_denoiser, vae_scale
from inference.fleet import Model
from inference.texts import encode, tokenize


def latents(model: Model, rows: int, *, side: int | None = None) -> Tensor:
    """(row, channel, side, side) noise; `side` in latents, None: the model's default size."""
    scale = vae_scale(model)
    height, width = (side, side) if side else (model.default_height // scale, model.default_width // scale)
    shape = (rows, model.parts["vae"].config.latent_channels, height, width)
    return torch.randn(shape, generator=_generator()).to(model.device, model.dtype)


def token_ids(model: Model, rows: int) -> Tensor:
    """(row, encoder, token) ids of texts that differ."""
    return tokenize(model, [f"{'a ' * row}cat, number {row}" for row in range(rows)])


def denoise_once(model: Model, denoiser: Any, rows: int, *, side: int | None = None) -> Tensor:
    """One call of the denoiser with `rows` rows of noise."""
    noise = latents(model, rows, side=side)
    row = encode(model, token_ids(model, 1))
    hidden = row.hidden.expand(rows, -1, -1).contiguous()
    pooled = None if row.pooled is None else row.pooled.expand(rows, -1).contiguous()
    times = torch.full((rows,), 500.0, device=model.device)
    return call_denoiser(denoiser, noise, times, hidden, pooled, scale=vae_scale(model))


def shortest_seconds(call: Callable[[], object], *, times: int = 3) -> float:
    """Of a few calls, after one that warms up; in CPU time of this thread, which other work disturbs least."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = []
    for _ in range(times + 1):
        began = clock()
        call()
        seconds.append(clock() - began)
    return min(seconds[1:])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
