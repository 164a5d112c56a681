# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""Generating with the packed model: many prompts at once, with Safe Latent Diffusion where it is asked for."""

import atexit
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from inference.contract import SldLevel
from inference.emoji import clip, loop, unet, vae
from inference.emoji.parts import Autoencoder, Unet
from inference.safety import guidance, levels

STEPS, GUIDANCE = 20, 4.0
BATCH = 16


@dataclass(frozen=True)
class Request:
    """One image to make."""

    prompt: str
    seed: int
    guidance_scale: float = GUIDANCE
    level: SldLevel = SldLevel.OFF
    concept: str = levels.SAFETY_CONCEPT
    warmup_steps: int | None = None  # instead of the level's own


@dataclass(frozen=True)
class Parts:
    """What generating needs, float32."""

    unet: Unet
    vae: Autoencoder
    text: CLIPTextModel
    tokenizer: CLIPTokenizer


def load(weights: Path) -> Parts:
    """Reads the parts of a packed pipeline."""
    model = UNet2DConditionModel.from_pretrained(weights / "unet", torch_dtype=torch.float32)
    autoencoder = AutoencoderKL.from_pretrained(weights / "vae", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(weights / "text_encoder", dtype=torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(weights / "tokenizer")
    return Parts(model.eval(), autoencoder.eval(), text.eval(), tokenizer)


def generate(weights: Path, requests: Sequence[Request], *, processes: int = 2) -> Tensor:
    """Makes all images, in the order asked, by several single-thread processes.

    returns  (request, 3, 64, 64) uint8
    """
    order = sorted(range(len(requests)), key=lambda i: _setting(requests[i]))
    batches: list[list[int]] = []
    for i in order:
        last = requests[batches[-1][0]] if batches else None
        if last is None or _setting(last) != _setting(requests[i]) or len(batches[-1]) == BATCH:
            batches.append([])
        batches[-1].append(i)
    jobs = [(str(weights), [requests[i] for i in batch]) for batch in batches]
    results = [_job(*job) for job in jobs] if processes == 1 else _pool(processes).starmap(_job, jobs, chunksize=1)
    images = torch.empty(len(requests), 3, 64, 64, dtype=torch.uint8)
    for batch, result in zip(batches, results, strict=True):
        images[batch] = torch.from_numpy(result)
    return images


@torch.no_grad()
def run(parts: Parts, requests: Sequence[Request], *, steps: int) -> Tensor:
    """Makes one batch of images of equal guidance scale, level and warm-up.

    returns  (request, 3, 64, 64) float32 in [-1, 1]
    """
    first = requests[0]
    is_safe = levels.can_act(first.level, first.guidance_scale)
    texts = [""] * len(requests) + [r.prompt for r in requests]
    if is_safe:
        texts += [r.concept for r in requests]
        parameters = levels.PARAMETERS[first.level].scaled_to(steps)
        if first.warmup_steps is not None:
            parameters = replace(parameters, warmup_steps=first.warmup_steps)
    states = parts.text(input_ids=clip.tokens(parts.tokenizer, texts)).last_hidden_state
    rows = len(texts) // len(requests)
    scheduler = unet.scheduler()
    scheduler.set_timesteps(steps)
    latents = torch.cat([torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(r.seed)) for r in requests])
    momentum: Tensor | None = None
    for step, timestep in enumerate(scheduler.timesteps):
        with loop.autocast():
            noise = parts.unet(torch.cat([latents] * rows), timestep, states).sample.float()
        uncond, cond, *concept = noise.chunk(rows)
        if is_safe:
            guided, momentum, _ = guidance.safe_guidance(
                uncond,
                cond,
                concept[0],
                momentum,
                step=step,
                guidance_scale=first.guidance_scale,
                parameters=parameters,
            )
        else:
            guided = guidance.classifier_free(uncond, cond, first.guidance_scale)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    return vae.decoded(parts.vae, latents)


def to_signed(images: Tensor) -> Tensor:
    """(batch, 3, 64, 64) uint8 to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


def _setting(request: Request) -> tuple[str, float, int]:
    """What all requests of one batch have in common."""
    return request.level.value, request.guidance_scale, -1 if request.warmup_steps is None else request.warmup_steps


@cache
def _pool(processes: int) -> Pool:
    """Workers that live as long as this process: each needs seconds to import the libraries."""
    pool = multiprocessing.get_context("spawn").Pool(processes)
    atexit.register(pool.terminate)
    return pool


@cache
def _loaded(weights: str) -> Parts:
    torch.set_num_threads(1)
    loop.quiet()
    return load(Path(weights))


def _job(weights: str, requests: list[Request]) -> NDArray[np.uint8]:
    images = run(_loaded(weights), requests, steps=STEPS)
    result: NDArray[np.uint8] = ((images + 1) * 127.5).round().to(torch.uint8).numpy()
    return result
