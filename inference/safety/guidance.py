"""Safe Latent Diffusion as a pure function of one request's noise predictions.

    d     = e_p - e_S
    mu    = min(1, |s_S * d|)   where d < lambda, else 0
    gamma = mu * (e_S - e_u) + s_m * nu_t
    nu    = beta_m * nu_t + (1 - beta_m) * gamma          nu_0 = 0, also updated during warm-up
    e_bar = e_u + s_g * (e_p - e_u - [t >= delta] * gamma)

Source: Schramowski et al. 2023, arXiv 2211.05105, equations 3 to 8; operation order as in diffusers'
`StableDiffusionPipelineSafe`, so that the results agree bit for bit. It is a mitigation with a measured rate, never a
guarantee, which is why the image check comes after it.

Where there is a negative prompt, its prediction stands for e_u in the guidance, as everywhere, but not in gamma: there
e_u stays the prediction without any text. With the negative prompt's in both places, which is what the reference does,
gamma would draw the image towards whatever the negative prompt names.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from inference.safety.levels import SldParameters


class Guided(NamedTuple):
    """The guided noise prediction and the momentum to hand to the next step.

    effect  |gamma| / |e_p - e_u|, a number on the same device: how strongly this step was bent; None during warm-up
    """

    noise: Tensor
    momentum: Tensor
    effect: Tensor | None


def classifier_free(uncond: Tensor, cond: Tensor, scale: float) -> Tensor:
    """Guidance without safety: e_u + s_g * (e_p - e_u). Ho and Salimans 2022, arXiv 2207.12598."""
    return uncond + scale * (cond - uncond)


def safe_guidance(
    uncond: Tensor,
    cond: Tensor,
    concept: Tensor,
    momentum: Tensor | None,
    *,
    neutral: Tensor | None = None,
    step: int,
    guidance_scale: float,
    parameters: SldParameters,
) -> Guided:
    """One step of Safe Latent Diffusion for one request.

    uncond, cond, concept  e_u, e_p, e_S: (..., channel, height, width) float32, same device
    neutral                the prediction without any text, where `uncond` is a negative prompt's; else None
    momentum               nu_t of the step before; None at the first step
    step                   0-based index of this step; `parameters` already scaled to the run's length
    """
    if momentum is None:
        momentum = torch.zeros_like(cond)
    difference = cond - concept
    scale = torch.clamp(torch.abs(difference) * parameters.guidance_scale, max=1.0)
    scale = torch.where(difference >= parameters.threshold, torch.zeros_like(scale), scale)
    gamma = torch.mul(concept - (uncond if neutral is None else neutral), scale) + parameters.momentum_scale * momentum
    momentum = parameters.momentum_beta * momentum + (1 - parameters.momentum_beta) * gamma
    direction = cond - uncond
    effect = None
    if step >= parameters.warmup_steps:
        # In float64, for the order in which a sum is taken may depend on the tensor's place in memory.
        effect = gamma.double().norm() / direction.double().norm().clamp(min=1e-30)
        direction = direction - gamma
    return Guided(uncond + guidance_scale * direction, momentum, effect)
