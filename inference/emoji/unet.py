# mypy: disable-error-code="no-untyped-call"
# torch and diffusers leave many functions without annotations.
"""The image model: a UNet and its text encoder, trained together on latents by several single-thread processes."""

import multiprocessing
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from inference.emoji import clip, loop, render, vae, vocabulary
from inference.emoji.captions import Captions, load_tokenizer
from inference.emoji.parts import Scheduler, TextEncoder, Unet

STEPS = 2700
BATCH = 64  # over all processes
LEARNING_RATE = 1e-3
TEXT_RATE_SHARE = 0.3
FLAT_SHARE = 0.5
EMA_DECAY = 0.997
MIN_SNR = 5.0
MAX_NOISE_WEIGHT = 10.0
WAIT_SECONDS = 600.0


def build() -> Unet:
    """The untrained UNet."""
    model: Unet = UNet2DConditionModel(
        sample_size=vae.LATENT_SIDE,
        block_out_channels=(64, 128, 192),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=192,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    # Scaled-dot-product attention's backward pass is the slower one on a CPU at these sizes.
    model.set_attn_processor(AttnProcessor())
    return model


def scheduler() -> Scheduler:
    """Stable Diffusion's noise schedule, sampled by DPM-Solver++ 2M."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="linspace",
        steps_offset=1,
    )


def train(out: Path, *, steps: int, seed: int, resume: bool, processes: int = 2) -> None:
    """Trains for `steps` steps and leaves the averaged weights in `unet.pt` under `out`.

    Each process takes its part of the batch; gradients meet in shared memory, so all processes hold equal weights. The
    result depends on the number of processes, because each draws chance of its own.
    """
    prepare_latents(out)
    count = sum(p.numel() for p in _trained(build(), _text_encoder(out)))
    run = _Run(out, steps, seed, resume)
    team = _Team(processes, torch.zeros(processes, count).share_memory_())
    if processes == 1:
        _work(0, None, team, run)
        return
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    workers = [context.Process(target=_work, args=(rank, barrier, team, run)) for rank in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process of the unet stage failed; run again with --resume")


def prepare_latents(out: Path) -> None:
    """Writes `latents.pt` under `out`, if it is not there yet."""
    if not (out / "latents.pt").exists():
        loop.save(out / "latents.pt", {"latents": vae.latents(vae.load(out), render.load(out))})


def load(out: Path) -> tuple[Unet, TextEncoder]:
    """The averaged UNet and text encoder of the last checkpoint under `out`, float32, for inference."""
    model, text = build(), _text_encoder(out)
    state = loop.load(out / "unet.pt")
    with torch.no_grad():
        for parameter, average in zip(_trained(model, text), state["average"], strict=True):
            parameter.copy_(average)
    return model.eval().requires_grad_(False), text.eval().requires_grad_(False)


@dataclass(frozen=True)
class _Team:
    processes: int
    gradients: Tensor  # (process, parameter) float32 in shared memory


@dataclass(frozen=True)
class _Run:
    out: Path
    steps: int
    seed: int
    resume: bool


class _Data:
    """Draws batches of noisy latents with their captions' tokens."""

    def __init__(self, out: Path) -> None:
        gallery = render.load(out)
        drawn = gallery.drawn()
        self._position = {picture: i for i, picture in enumerate(drawn)}
        self._captions = Captions(gallery.pictures, drawn)
        self._tokenizer = load_tokenizer(out / "tokenizer")
        self._latents: Tensor = loop.load(out / "latents.pt")["latents"]
        self._variants: dict[str | None, int] = {name: i for i, name in enumerate(vocabulary.BACKGROUNDS)}
        self._variants[None] = 0

    def batch(self, size: int, numbers: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Clean latents (size, 4, 16, 16) float32 and token ids (size, 32) int64."""
        samples = [self._captions.draw(numbers) for _ in range(size)]
        rows = [self._position[sample.picture] for sample in samples]
        two = len(vocabulary.BACKGROUNDS)
        variants = [two if sample.is_two else self._variants[sample.background] for sample in samples]
        return self._latents[rows, variants], clip.tokens(self._tokenizer, [sample.text for sample in samples])


def _work(rank: int, barrier: Barrier | None, team: _Team, run: _Run) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(run.seed + 2)
    model, text = build().train(), _text_encoder(run.out).train()
    parameters = _trained(model, text)
    unet_count = len(list(model.parameters()))
    groups = [{"params": parameters[:unet_count]}, {"params": parameters[unet_count:]}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
    average = [parameter.detach().clone() for parameter in parameters]
    first = 0
    if run.resume and (run.out / "unet.pt").exists():
        first = _restore(loop.load(run.out / "unet.pt"), parameters, average, optimizer)
    data, noise_schedule = _Data(run.out), scheduler()
    alphas: Tensor = noise_schedule.alphas_cumprod
    mine, mean = team.gradients[rank], torch.empty(team.gradients.shape[1])
    my_gradients, mean_gradients = _views(mine, parameters), _views(mean, parameters)
    progress = loop.Progress("unet", run.steps)
    for step in range(first, run.steps):
        numbers, generator = loop.chance(run.seed, "unet", step, rank)
        latents, ids = data.batch(BATCH // team.processes, numbers)
        with loop.autocast():
            states = text(input_ids=ids).last_hidden_state
        loss = _loss(model, latents, states, alphas, generator)
        # Backward adds up straight in shared memory; then every process takes the same mean, in the same order.
        mine.zero_()
        _set_gradients(parameters, my_gradients)
        loss.backward()
        if barrier is not None:
            barrier.wait(WAIT_SECONDS)
            torch.mean(team.gradients, dim=0, out=mean)
            barrier.wait(WAIT_SECONDS)
            _set_gradients(parameters, mean_gradients)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        rate = LEARNING_RATE * loop.cosine(step, run.steps, flat_share=FLAT_SHARE, warmup=200)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.param_groups[1]["lr"] = rate * TEXT_RATE_SHARE
        optimizer.step()
        if rank == 0:
            decay = min(EMA_DECAY, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
            progress.note(step, loss=float(loss.detach()))
            if progress.save_is_due() or step + 1 == run.steps:
                loop.save(run.out / "unet.pt", _state(parameters, average, optimizer, step + 1))


def _loss(model: Unet, latents: Tensor, states: Tensor, alphas: Tensor, generator: torch.Generator) -> Tensor:
    """Error of the predicted noise, weighted by noise level.

    At little noise by min-SNR (Hang et al. 2023, arXiv 2303.09556, section 3.4). At much noise by 1 + 1/SNR, up to a
    limit, as the error of a predicted velocity would be: there the model decides what to draw, and the plain error
    of the noise hardly notices a wrong decision.
    """
    size = len(latents)
    # One timestep from each of `size` equal slices: every batch sees every noise level.
    slices = (torch.arange(size) + torch.rand(size, generator=generator)) / size * len(alphas)
    timesteps = slices.long()[torch.randperm(size, generator=generator)]
    level = alphas[timesteps][:, None, None, None]
    noise = torch.randn(latents.shape, generator=generator)
    noisy = level.sqrt() * latents + (1 - level).sqrt() * noise
    with loop.autocast():
        predicted = model(noisy, timesteps, states).sample.float()
    ratio = (level / (1 - level)).flatten()
    weights = ratio.clamp(max=MIN_SNR) / ratio * (1 + 1 / ratio).clamp(max=MAX_NOISE_WEIGHT)
    loss: Tensor = ((predicted - noise).pow(2).mean(dim=(1, 2, 3)) * weights).mean()
    return loss


def _views(flat: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    parts = flat.split([parameter.numel() for parameter in parameters])
    return [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]


def _set_gradients(parameters: list[nn.Parameter], gradients: list[Tensor]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


def _trained(model: Unet, text: TextEncoder) -> list[nn.Parameter]:
    return [*model.parameters(), *text.parameters()]


def _text_encoder(out: Path) -> TextEncoder:
    model: TextEncoder = clip.load(out).text_model.requires_grad_(True)
    return model


def _state(
    parameters: list[nn.Parameter], average: list[Tensor], optimizer: torch.optim.Optimizer, step: int
) -> dict[str, Any]:
    values = [parameter.detach() for parameter in parameters]
    return {"parameters": values, "average": average, "optimizer": optimizer.state_dict(), "step": step}


def _restore(
    state: dict[str, Any], parameters: list[nn.Parameter], average: list[Tensor], optimizer: torch.optim.Optimizer
) -> int:
    with torch.no_grad():
        for parameter, value in zip(parameters, state["parameters"], strict=True):
            parameter.copy_(value)
        for held, value in zip(average, state["average"], strict=True):
            held.copy_(value)
    optimizer.load_state_dict(state["optimizer"])
    step: int = state["step"]
    return step
