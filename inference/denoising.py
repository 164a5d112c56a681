"""One image in the making, and the steps that all images go through: encode, denoise, guide, sample, decode.

Only `denoise` looks at several images at once; everything else is computed for one image alone.
"""

import inspect
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from inference.fleet import Model
from inference.release import FloatImage
from inference.safety import guidance, levels
from inference.schedulers import make_scheduler
from inference.ticket import Ticket


@dataclass(eq=False)
class Sample:
    """One image in the making.

    embeddings  (row, token, channel) text embeddings: [unconditional, prompt, safety concept] or a part of it
    latents     (1, channel, height, width) float32; the denoiser sees a copy in its own dtype
    momentum    SLD's nu
    served_at   number of the tick that last advanced it
    """

    ticket: Ticket
    index: int
    bucket: int
    embeddings: Tensor
    latents: Tensor
    scheduler: Any
    sld: levels.SldParameters | None
    timesteps: list[Tensor]
    step: int = 0
    momentum: Tensor | None = None
    served_at: int = 0
    step_options: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Denoiser rows that one step takes."""
        return self.embeddings.shape[0]

    @property
    def group(self) -> tuple[object, ...]:
        """Samples of one group can share a call."""
        return (id(self.ticket.request.model), self.bucket, self.latents.shape, self.embeddings.shape[1:])

    @property
    def is_dead(self) -> bool:
        """Whether its order ended without it."""
        return self.ticket.is_over


def begin(ticket: Ticket, index: int, bucket: int, embeddings: Tensor) -> Sample:
    """Image number `index` of an order before its first step: its own sampler, generator and noise."""
    request, order = ticket.request, ticket.order
    model = request.model
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
        embeddings=embeddings,
        latents=noise * scheduler.init_noise_sigma,
        scheduler=scheduler,
        sld=levels.PARAMETERS[level].scaled_to(order.steps) if levels.can_act(level, order.guidance_scale) else None,
        timesteps=list(scheduler.timesteps),
        step_options={"generator": generator} if takes_generator else {},
    )


class NotFinite(Exception):
    """The denoiser gave NaN or Inf for a sample."""


def encode(model: Model, text: str) -> Tensor:
    """(1, token, channel) embeddings of one text, as diffusers' `StableDiffusionPipeline.encode_prompt` makes them."""
    tokenizer, encoder = model.parts["tokenizer"], model.parts["text_encoder"]
    length = min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
    tokens = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    mask = tokens.attention_mask.to(model.device) if getattr(encoder.config, "use_attention_mask", False) else None
    hidden: Tensor = encoder(tokens.input_ids.to(model.device), attention_mask=mask)[0]
    return hidden.to(model.dtype)


def denoise(batch: list[Sample]) -> list[Tensor]:
    """The denoiser's float32 prediction for each sample's rows, from one call with exactly `bucket` rows."""
    model, bucket = batch[0].ticket.request.model, batch[0].bucket
    latents = batch[0].latents.new_zeros((bucket, *batch[0].latents.shape[1:]), dtype=model.dtype)
    timesteps = torch.zeros(bucket, dtype=torch.float32, device=model.device)
    embeddings = batch[0].embeddings.new_zeros((bucket, *batch[0].embeddings.shape[1:]))
    spans, start = [], 0
    for sample in batch:
        span = slice(start, start + sample.rows)
        time_step = sample.timesteps[sample.step]
        latents[span] = sample.scheduler.scale_model_input(sample.latents, time_step).to(model.dtype)
        timesteps[span] = time_step.to(torch.float32)
        embeddings[span] = sample.embeddings
        spans.append(span)
        start += sample.rows
    prediction = model.parts["unet"](latents, timesteps, encoder_hidden_states=embeddings, return_dict=False)[0]
    return [prediction[span].float() for span in spans]


def take_step(sample: Sample, prediction: Tensor) -> None:
    """Guide one sample's prediction and let its sampler take the step. Raises NotFinite."""
    if not bool(torch.isfinite(prediction).all()):
        raise NotFinite
    time_step = sample.timesteps[sample.step]
    rows = [prediction[i : i + 1] for i in range(sample.rows)]
    scale = sample.ticket.order.guidance_scale
    match rows:
        case [uncond, cond, concept] if sample.sld is not None:
            # SLD's constants are defined on noise. A v-prediction differs from it by a factor and a term that all
            # three rows share (e = alpha * v + sigma * x_t), and the shared term cancels in SLD's differences.
            alpha = _noise_per_prediction(sample, time_step)
            guided = guidance.safe_guidance(
                alpha * uncond,
                alpha * cond,
                alpha * concept,
                sample.momentum,
                step=sample.step,
                guidance_scale=scale,
                parameters=sample.sld,
            )
            noise, sample.momentum = guided.noise / alpha, guided.momentum
        case [uncond, cond]:
            noise = guidance.classifier_free(uncond, cond, scale)
        case _:
            [noise] = rows
    stepped = sample.scheduler.step(noise, time_step, sample.latents, return_dict=False, **sample.step_options)
    sample.latents = stepped[0]
    sample.step += 1


def decode(model: Model, latents: Tensor) -> FloatImage:
    """(3, height, width) float32 in [0, 1] from final latents; one image a call, so that company changes no bit."""
    vae = model.parts["vae"]
    with torch.inference_mode():
        image: Tensor = vae.decode(latents.to(model.dtype) / vae.config.scaling_factor, return_dict=False)[0]
        pixels: FloatImage = (image[0].float() / 2 + 0.5).clamp(0, 1).cpu().numpy()
    return pixels


def vae_scale(model: Model) -> int:
    """Pixels per latent along a side."""
    return int(2 ** (len(model.parts["vae"].config.block_out_channels) - 1))


def dtype_name(dtype: torch.dtype) -> str:
    """ "bfloat16" for torch.bfloat16."""
    return str(dtype).removeprefix("torch.")


def _noise_per_prediction(sample: Sample, time_step: Tensor) -> float:
    if sample.scheduler.config.prediction_type != "v_prediction":
        return 1.0
    index = min(max(int(time_step), 0), len(sample.scheduler.alphas_cumprod) - 1)
    return max(math.sqrt(sample.scheduler.alphas_cumprod[index]), 1e-3)
