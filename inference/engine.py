"""The step engine: one denoiser call per tick, with rows of several images, each at its own step of its own sampler.

An image holds its scheduler, generator, latents and SLD momentum; only the denoiser call is shared. Every call has a
fixed number of rows, the image's *bucket*; unused rows are zeros. On one machine the denoiser's answer for a row
depends on the number of rows but not on what the others hold or on the row's position, so an image made alone and the
same image made among others are equal bit for bit when their buckets are equal. The bucket is chosen at admission by
load, kept for the image's life, written into the receipt, and can be pinned by the order. Everything else that shapes
an image (text encoding, sampler, decoding) is computed for it alone.

All torch work of the engine happens in its one thread; decoding and checking happen beside it, in `release`.
"""

import inspect
import logging
import math
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from inference.contract import ErrorCode, Started
from inference.fleet import Model
from inference.queue import FairQueue
from inference.release import FloatImage, Making, Release
from inference.safety import guidance, levels
from inference.schedulers import make_scheduler
from inference.ticket import Ticket

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.5


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
    generator: torch.Generator
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


class Engine:
    """Runs the samples of all orders. `queue` is shared with the server's threads, everything else is the engine's own.

    buckets   row counts a call may have, ascending
    max_rows  rows in the making at once; orders beyond it wait in the queue
    """

    def __init__(
        self, queue: FairQueue, release: Release, *, buckets: tuple[int, ...], max_rows: int, threads: int = 1
    ) -> None:
        self.queue = queue
        self._release = release
        self._buckets = tuple(sorted(buckets))
        self._max_rows = max_rows
        self._threads = threads
        self._samples: list[Sample] = []
        self._tick = 0
        self._constant_embeddings: dict[tuple[str, str], Tensor] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to work, in the engine's thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the current tick; orders in the making fail."""
        self._stopping.set()
        self.queue.wake()
        self._thread.join()
        for sample in self._samples:
            sample.ticket.fail(ErrorCode.CANCELLED, "The worker is shutting down.")

    @property
    def running(self) -> int:
        """Orders in the making."""
        return len({id(sample.ticket) for sample in list(self._samples)})

    def _run(self) -> None:
        torch.set_num_threads(self._threads)
        while not self._stopping.is_set():
            try:
                if not self.tick():
                    self.queue.wait(IDLE_SECONDS)
            except Exception:
                log.exception("a tick failed; its orders are failed and the engine goes on")
                for sample in self._samples:
                    sample.ticket.fail(ErrorCode.INTERNAL, "The worker failed while making this image.")

    @torch.inference_mode()
    def tick(self) -> bool:
        """Admit who waits, then advance one group of samples by one step. False when there was nothing to do."""
        for sample in self._samples:
            sample.ticket.expire()
        self._samples = [sample for sample in self._samples if not sample.is_dead]
        self._admit()
        batch = self._pick()
        if not batch:
            return False
        self._tick += 1
        self._advance(batch)
        return True

    # --- admission ---

    def _admit(self) -> None:
        """Begin waiting orders in the queue's order while there is room for all their rows."""
        while (ticket := self.queue.peek()) is not None:
            rows = ticket.request.rows_per_image * ticket.order.images
            if self._samples and sum(sample.rows for sample in self._samples) + rows > self._max_rows:
                return
            bucket = self._choose_bucket(ticket)
            self.queue.take(ticket)
            try:
                self._samples += self._begin(ticket, bucket)
            except Exception as error:
                log.error("an order could not begin: %s", type(error).__name__)
                ticket.fail(*_explain(error))
            else:
                ticket.tell(Started(steps=ticket.order.steps))

    def _choose_bucket(self, ticket: Ticket) -> int:
        """The pinned bucket; else one in use with room; else the smallest that holds all who want one now.

        So a single order in an empty worker pays for no row it does not use, and a crowd shares large calls.
        """
        if ticket.order.bucket is not None:
            return ticket.order.bucket
        wanted = ticket.request.rows_per_image * ticket.order.images
        peers = [sample for sample in self._samples if _can_share(sample.ticket, ticket)]
        for bucket in sorted({sample.bucket for sample in peers}):
            used = sum(sample.rows for sample in peers if sample.bucket == bucket)
            if used + wanted <= bucket:
                return bucket
        in_view = sum(sample.rows for sample in peers)
        for other in self.queue.waiting()[: self._max_rows]:
            if _can_share(other, ticket) and in_view < self._max_rows:
                in_view += other.request.rows_per_image * other.order.images
        return self._smallest(min(max(in_view, wanted), self._max_rows))

    def _smallest(self, rows: int) -> int:
        return next((bucket for bucket in self._buckets if bucket >= rows), self._buckets[-1])

    def _begin(self, ticket: Ticket, bucket: int) -> list[Sample]:
        request, order = ticket.request, ticket.order
        model = request.model
        texts = [self._encode(model, order.prompt)]
        sld = None
        if order.guidance_scale > 1:
            texts.insert(0, self._encode(model, order.negative_prompt))
        if levels.can_act(order.safety.sld_level, order.guidance_scale):
            texts.append(self._encode(model, levels.SAFETY_CONCEPT))
            sld = levels.PARAMETERS[order.safety.sld_level].scaled_to(order.steps)
        embeddings = torch.cat(texts)
        unet = model.parts["unet"]
        shape = (1, unet.config.in_channels, request.height // vae_scale(model), request.width // vae_scale(model))
        samples = []
        for index in range(order.images):
            scheduler = make_scheduler(request.scheduler, model.scheduler_config)
            scheduler.set_timesteps(order.steps, device=model.device)
            generator = torch.Generator().manual_seed(request.seed(index))
            noise = torch.randn(shape, generator=generator, dtype=torch.float32).to(model.device)
            takes_generator = "generator" in inspect.signature(scheduler.step).parameters
            samples.append(
                Sample(
                    ticket=ticket,
                    index=index,
                    bucket=bucket,
                    embeddings=embeddings,
                    latents=noise * scheduler.init_noise_sigma,
                    scheduler=scheduler,
                    generator=generator,
                    sld=sld,
                    timesteps=list(scheduler.timesteps),
                    step_options={"generator": generator} if takes_generator else {},
                )
            )
        return samples

    def _encode(self, model: Model, text: str) -> Tensor:
        """(1, token, channel) text embeddings. Only texts that are the server's own are remembered."""
        if text not in {"", levels.SAFETY_CONCEPT}:
            return encode(model, text)
        key = (model.state.digest, text)
        if key not in self._constant_embeddings:
            self._constant_embeddings[key] = encode(model, text)
        return self._constant_embeddings[key]

    # --- one tick ---

    def _pick(self) -> list[Sample]:
        """Samples of one group that fit into its bucket, those that waited longest first."""
        waiting = sorted(self._samples, key=lambda sample: sample.served_at)
        batch: list[Sample] = []
        free = waiting[0].bucket if waiting else 0
        for sample in waiting:
            if sample.group == waiting[0].group and sample.rows <= free:
                batch.append(sample)
                free -= sample.rows
        return batch

    def _advance(self, batch: list[Sample]) -> None:
        """One denoiser call and one sampler step for each sample of the batch."""
        began = time.perf_counter()
        try:
            predictions = denoise(batch)
        except Exception as error:
            self._advance_apart(batch, error)
            return
        for sample, prediction in zip(batch, predictions, strict=True):
            sample.served_at = self._tick
            try:
                take_step(sample, prediction)
            except Exception as error:  # a poisoned request fails alone
                log.error("a step failed: %s", type(error).__name__)
                sample.ticket.fail(*_explain(error))
        seconds = (time.perf_counter() - began) / sum(sample.rows for sample in batch)
        for sample in batch:
            sample.ticket.charge(seconds * sample.rows)
        self._report(batch)

    def _advance_apart(self, batch: list[Sample], error: Exception) -> None:
        """A call failed: find out whose fault it is by making one call for each, with the same number of rows."""
        if len(batch) == 1:
            log.error("a denoiser call failed: %s", type(error).__name__)
            batch[0].ticket.fail(*_explain(error))
            return
        for sample in batch:
            self._advance([sample])

    def _report(self, batch: list[Sample]) -> None:
        for ticket in {id(sample.ticket): sample.ticket for sample in batch}.values():
            slowest = min((s for s in self._samples if s.ticket is ticket), key=lambda s: s.step, default=None)
            if slowest is not None:
                steps = ticket.order.steps
                ticket.step(slowest.step * steps // len(slowest.timesteps), steps)
        finished = [sample for sample in batch if sample.step == len(sample.timesteps) and not sample.is_dead]
        for sample in finished:
            self._samples.remove(sample)
            self._release.submit(
                Making(
                    ticket=sample.ticket,
                    index=sample.index,
                    pixels=partial(decode, sample.ticket.request.model, sample.latents),
                    bucket=sample.bucket,
                    scheduler=sample.ticket.request.scheduler,
                    dtype=dtype_name(sample.ticket.request.model.dtype),
                )
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


def _can_share(one: Ticket, other: Ticket) -> bool:
    """Whether images of two orders could stand in one call."""
    a, b = one.request, other.request
    return a.model is b.model and (a.width, a.height) == (b.width, b.height)


def _explain(error: Exception) -> tuple[ErrorCode, str]:
    match error:
        case NotFinite():
            return ErrorCode.NOT_FINITE, "The model produced values that are not numbers for this order."
        case torch.OutOfMemoryError() | MemoryError():
            return ErrorCode.OUT_OF_MEMORY, "The worker ran out of memory; try a smaller size or fewer images."
        case _:
            return ErrorCode.INTERNAL, "The worker failed while making this image."
