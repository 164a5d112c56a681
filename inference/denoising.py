"""One image in the making, and the steps that all images go through: denoise, guide, sample.

Only `denoise` looks at several images at once; everything else is computed for one image alone.
"""

import inspect
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from inference.fleet import Model
from inference.safety import guidance, levels
from inference.schedulers import make_scheduler
from inference.texts import Conditioning
from inference.ticket import Ticket


@dataclass(eq=False)
class Sample:
    """One image in the making.

    conditioning  rows for [negative prompt, prompt, safety concept, no text] or a part of it
    latents       (1, channel, height, width) float32; the denoiser sees a copy in its own dtype
    momentum      SLD's nu
    served_at     number of the tick that last advanced it
    seconds       of computing that it was charged for
    look          estimate of the finished latents after the last step, where the order wants a preview of it
    """

    ticket: Ticket
    index: int
    bucket: int
    conditioning: Conditioning
    latents: Tensor
    scheduler: Any
    sld: levels.SldParameters | None
    timesteps: list[Tensor]
    step: int = 0
    momentum: Tensor | None = None
    served_at: int = 0
    seconds: float = 0.0
    step_options: dict[str, Any] = field(default_factory=dict)
    look: Tensor | None = None
    sld_effects: list[Tensor] = field(default_factory=list)

    @property
    def steps_done(self) -> int:
        """Of the steps that were ordered; some samplers take more small ones."""
        return self.step * self.ticket.order.steps // len(self.timesteps)

    @property
    def rows(self) -> int:
        """Denoiser rows that one step takes."""
        return self.conditioning.hidden.shape[0]

    @property
    def group(self) -> tuple[object, ...]:
        """Samples of one group can share a call."""
        return (id(self.ticket.request.model), self.bucket, self.latents.shape)

    @property
    def sld_effect(self) -> float | None:
        """Mean effect of Safe Latent Diffusion over the steps in which it acted; None if it never did."""
        mean = float(torch.stack(self.sld_effects).mean()) if self.sld_effects else math.nan
        return round(mean, 4) if math.isfinite(mean) else None

    @property
    def is_dead(self) -> bool:
        """Whether its order ended without it."""
        return self.ticket.is_over


def begin(ticket: Ticket, index: int, bucket: int, conditioning: Conditioning) -> Sample:
    """Image number `index` of an order before its first step: its own sampler, generator and noise."""
    request, order = ticket.request, ticket.order
    model = request.model
    assert request.scheduler is not None  # the engine's models all take the samplers that have names
    scheduler = make_scheduler(request.scheduler, model.scheduler_config)
    scheduler.set_timesteps(order.steps, device=model.device)
    channels, scale = model.parts["unet"].config.in_channels, vae_scale(model)
    generator = torch.Generator().manual_seed(request.seed(index))
    shape = (1, channels, request.height // scale, request.width // scale)
    noise = torch.randn(shape, generator=generator, dtype=torch.float32).to(model.device)
    level, takes_generator = order.safety.sld_level, "generator" in inspect.signature(scheduler.step).parameters
    return Sample(
        ticket=ticket,
        index=index,
        bucket=bucket,
        conditioning=conditioning,
        latents=noise * scheduler.init_noise_sigma,
        scheduler=scheduler,
        sld=levels.PARAMETERS[level].scaled_to(order.steps) if levels.can_act(level, order.guidance_scale) else None,
        timesteps=list(scheduler.timesteps),
        step_options={"generator": generator} if takes_generator else {},
    )


def begin_again(samples: list[Sample], bucket: int) -> list[Sample]:
    """The same images before their first step, in another bucket; all of them or, where one cannot begin, none.

    Their orders are not charged for what is thrown away.
    """
    again = [begin(sample.ticket, sample.index, bucket, sample.conditioning) for sample in samples]
    for sample in samples:
        sample.ticket.charge(-sample.seconds)
    return again


class NotFinite(Exception):
    """The denoiser gave NaN or Inf for a sample."""


def denoise(batch: list[Sample]) -> list[Tensor]:
    """The denoiser's float32 prediction for each sample's rows, from one call with exactly `bucket` rows."""
    request, bucket = batch[0].ticket.request, batch[0].bucket
    model = request.model
    first = batch[0].conditioning
    latents = batch[0].latents.new_zeros((bucket, *batch[0].latents.shape[1:]), dtype=model.dtype)
    timesteps = torch.zeros(bucket, dtype=torch.float32, device=model.device)
    hidden = first.hidden.new_zeros((bucket, *first.hidden.shape[1:]))
    pooled = None if first.pooled is None else first.pooled.new_zeros((bucket, *first.pooled.shape[1:]))
    spans, start = [], 0
    for sample in batch:
        span = slice(start, start + sample.rows)
        time_step = sample.timesteps[sample.step]
        latents[span] = sample.scheduler.scale_model_input(sample.latents, time_step).to(model.dtype)
        timesteps[span] = time_step.to(torch.float32)
        hidden[span] = sample.conditioning.hidden
        if pooled is not None and sample.conditioning.pooled is not None:
            pooled[span] = sample.conditioning.pooled
        spans.append(span)
        start += sample.rows
    call = model.way_of(bucket, request.width, request.height).call
    denoiser = model.parts["unet"] if call is None else call  # a compiled module is neither true nor false
    prediction = call_denoiser(denoiser, latents, timesteps, hidden, pooled, scale=vae_scale(model))
    return [prediction[span].float() for span in spans]


def call_denoiser(
    denoiser: Any, latents: Tensor, timesteps: Tensor, hidden: Tensor, pooled: Tensor | None, *, scale: int
) -> Tensor:
    """(row, channel, height, width) prediction of one call.

    timesteps  (row,) float32, each row's own
    pooled     (row, channel) for Stable Diffusion XL, which is also told the image's size; else None
    scale      pixels per latent along a side
    """
    added: dict[str, Any] = {}
    if pooled is not None:
        # Original size, crop from the left and the top, wanted size: an image that is wanted whole, as it is.
        size = [latents.shape[-2] * scale, latents.shape[-1] * scale]
        time_ids = torch.tensor([*size, 0, 0, *size], dtype=pooled.dtype, device=pooled.device)
        added["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": time_ids.expand(len(pooled), -1)}
    prediction: Tensor = denoiser(latents, timesteps, encoder_hidden_states=hidden, return_dict=False, **added)[0]
    return prediction


def take_step(sample: Sample, prediction: Tensor) -> None:
    """Guide one sample's prediction and let its sampler take the step. Raises NotFinite."""
    if not bool(torch.isfinite(prediction).all()):
        raise NotFinite
    time_step = sample.timesteps[sample.step]
    rows = [prediction[i : i + 1] for i in range(sample.rows)]
    scale = sample.ticket.order.guidance_scale
    match rows:
        case [uncond, cond, concept, *neutral] if sample.sld is not None:
            # SLD's constants are defined on noise. A v-prediction differs from it by a factor and a term that all
            # rows share (e = alpha * v + sigma * x_t), and the shared term cancels in SLD's differences.
            alpha = _noise_per_prediction(sample, time_step)
            guided = guidance.safe_guidance(
                alpha * uncond,
                alpha * cond,
                alpha * concept,
                sample.momentum,
                neutral=alpha * neutral[0] if neutral else None,
                step=sample.step,
                guidance_scale=scale,
                parameters=sample.sld,
            )
            noise, sample.momentum = guided.noise / alpha, guided.momentum
            if guided.effect is not None:
                sample.sld_effects.append(guided.effect)
        case [uncond, cond]:
            noise = guidance.classifier_free(uncond, cond, scale)
        case _:
            [noise] = rows
    before, steps_done = sample.latents, sample.steps_done
    stepped = sample.scheduler.step(noise, time_step, before, return_dict=False, **sample.step_options)
    sample.latents = stepped[0]
    sample.step += 1
    is_due = sample.steps_done > steps_done and sample.ticket.order.wants_preview(sample.steps_done)
    sample.look = _finished_estimate(sample, noise, before, time_step) if is_due else None


def vae_scale(model: Model) -> int:
    """Pixels per latent along a side."""
    return int(2 ** (len(model.parts["vae"].config.block_out_channels) - 1))


def dtype_name(dtype: torch.dtype) -> str:
    """ "bfloat16" for torch.bfloat16."""
    return str(dtype).removeprefix("torch.")


def _noise_per_prediction(sample: Sample, time_step: Tensor) -> float:
    if sample.scheduler.config.prediction_type != "v_prediction":
        return 1.0
    return max(math.sqrt(_signal_share(sample, time_step)), 1e-3)


def _finished_estimate(sample: Sample, prediction: Tensor, latents: Tensor, time_step: Tensor) -> Tensor:
    """What the latents would be without their noise: x0 = (x - sigma * e) / alpha, or alpha * x - sigma * v."""
    seen: Tensor = sample.scheduler.scale_model_input(latents, time_step)
    share = max(_signal_share(sample, time_step), 1e-6)
    alpha, sigma = math.sqrt(share), math.sqrt(1 - share)
    if sample.scheduler.config.prediction_type == "v_prediction":
        return alpha * seen - sigma * prediction
    return (seen - sigma * prediction) / alpha


def _signal_share(sample: Sample, time_step: Tensor) -> float:
    """alpha squared at a time of the model's training: the share of the image in what the denoiser sees."""
    index = min(max(int(time_step), 0), len(sample.scheduler.alphas_cumprod) - 1)
    return float(sample.scheduler.alphas_cumprod[index])
