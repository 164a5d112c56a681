"""From verified parts to a model that can work: device, number format, the server's checker, a warm-up call."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

from inference.contract import LoadPhase, ModelManifest, ModelState
from inference.fleet import LoadWatch, Model, ModelRefused
from inference.loading import ENGINE, Parts, load_parts
from inference.safety.trusted import TrustedCheckers
from inference.schedulers import name_of

log = logging.getLogger(__name__)

TRIAL_ROWS = 4
TRIALS = 3
PREDICTIONS = frozenset({"epsilon", "v_prediction"})


class ModelBuilder:
    """Builds models for one device. `dtype` "auto" measures where there is a choice."""

    def __init__(
        self, checkers: TrustedCheckers, *, store: Path | None, device: str, dtype: str, threads: int = 1
    ) -> None:
        self._checkers = checkers
        self._store = store
        self._device = device
        self._dtype = dtype
        self._threads = threads

    def __call__(self, manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
        """Verify, build and warm up. Raises ModelRefused."""
        torch.set_num_threads(self._threads)
        parts = load_parts(manifest, store=self._store, directory=directory, watch=watch)
        is_engine = parts.pipeline in ENGINE
        if is_engine:
            require_engine_fits(parts)
        unet, vae = parts.components["unet"], parts.components["vae"]
        for module in _modules(parts):
            module.to(self._device)
        dtype = self._choose_dtype(unet) if is_engine else self._plain_dtype()
        for module in _modules(parts):
            module.to(dtype)
        checker = self._checkers.attach(manifest)
        if checker is None:
            log.warning("no trusted checker fits model %s: its orders will fail", manifest.repository)
        scale = 2 ** (len(vae.config.block_out_channels) - 1)
        side = int(unet.config.sample_size or 64) * scale
        scheduler = name_of(parts.scheduler_config)
        state = ModelState(
            digest=manifest.digest,
            repository=manifest.repository,
            commit=manifest.commit,
            phase=LoadPhase.READY,
            pipeline=parts.pipeline,
            engine="step" if is_engine else "diffusers",
            default_width=side,
            default_height=side,
            default_scheduler=scheduler,
            checker_sha256=checker.sha256 if checker else None,
            concepts=checker.concepts if checker else (),
            dtype=str(dtype).removeprefix("torch."),
        )
        return Model(
            state=state,
            manifest=manifest,
            weights=parts.weights,
            checker=checker,
            default_width=side,
            default_height=side,
            side_multiple=scale,
            default_scheduler=scheduler,
            scheduler_config=parts.scheduler_config,
            parts=parts.components,
            pipeline=parts.pipeline,
            device=self._device,
            dtype=dtype,
        )

    def _plain_dtype(self) -> torch.dtype:
        if self._dtype == "auto":
            return torch.float32 if self._device == "cpu" else torch.bfloat16
        return torch.bfloat16 if self._dtype == "bfloat16" else torch.float32

    def _choose_dtype(self, unet: Any) -> torch.dtype:
        """bfloat16 on a CPU only where the processor computes with it and it is measured to be faster."""
        if self._dtype != "auto" or self._device != "cpu" or not has_bfloat16():
            return self._plain_dtype()
        seconds = {dtype: _trial_seconds(unet.to(dtype), dtype) for dtype in (torch.float32, torch.bfloat16)}
        unet.to(torch.float32)
        fastest = min(seconds, key=lambda dtype: seconds[dtype])
        log.info(
            "denoiser call of %d rows: float32 %.1f ms, bfloat16 %.1f ms; using %s",
            TRIAL_ROWS, *(1000 * value for value in seconds.values()), fastest,
        )  # fmt: skip
        return fastest


def require_engine_fits(parts: Parts) -> None:
    """Raise ModelRefused for a Stable Diffusion variant whose denoiser needs more than latents, time and text."""
    config, vae = parts.components["unet"].config, parts.components["vae"].config
    if config.in_channels != vae.latent_channels or config.out_channels != vae.latent_channels:
        raise ModelRefused("the denoiser works on other latents than the decoder (an inpainting model?)")
    if config.time_cond_proj_dim or config.class_embed_type or config.addition_embed_type or config.num_class_embeds:
        raise ModelRefused("the denoiser needs inputs that this server does not give it")
    prediction = parts.scheduler_config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ModelRefused(f"the scheduler's prediction type {prediction!r:.40} is not supported")


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    capability = torch.backends.cpu.get_cpu_capability()
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "AVX512" in capability and ("avx512_bf16" in flags or "amx_bf16" in flags)


def pick_device(name: str) -> str:
    """ "auto" is the first GPU, else the CPU."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _modules(parts: Parts) -> list[torch.nn.Module]:
    return [part for part in parts.components.values() if isinstance(part, torch.nn.Module)]


@torch.inference_mode()
def _trial_seconds(unet: Any, dtype: torch.dtype) -> float:
    """Shortest of a few calls, in CPU time of this thread, which other work on the machine disturbs least."""
    side = int(unet.config.sample_size or 64)
    latents = torch.randn(TRIAL_ROWS, unet.config.in_channels, side, side).to(dtype)
    text = torch.randn(TRIAL_ROWS, 24, unet.config.cross_attention_dim).to(dtype)
    times = torch.full((TRIAL_ROWS,), 500.0)
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = []
    for _ in range(TRIALS + 1):
        began = clock()
        unet(latents, times, encoder_hidden_states=text)
        seconds.append(clock() - began)
    return min(seconds[1:])
