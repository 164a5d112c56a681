"""From verified parts to a model that can work: device, number format, the server's checker, a warm-up call."""

import contextlib
import copy
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from inference import trials
from inference.batching import SIZES, proven_sizes
from inference.contract import LoadPhase, ModelManifest, ModelState
from inference.decoding import decoded
from inference.denoising import dtype_name
from inference.device import PLAIN, DevicePath
from inference.fleet import Model, ModelRefused
from inference.indexes import ENGINE
from inference.loading import Parts, load_parts
from inference.memory import is_out_of_memory, peak_bytes, weight_bytes
from inference.packing import packed_bytes
from inference.pipelines import call_pipeline, takes_negative_prompt
from inference.safety.trusted import TrustedCheckers
from inference.schedulers import is_denoising, name_of
from inference.texts import encode
from inference.watch import LoadWatch

log = logging.getLogger(__name__)

TRIAL_ROWS = 4
TRIAL_SIDE = 32  # latents
PREDICTIONS = frozenset({"epsilon", "v_prediction"})


class ModelBuilder:
    """Builds models for one device. `dtype` "auto" measures where there is a choice.

    path     how denoisers are run here
    buckets  calls that are compiled or recorded before a model is ready
    """

    def __init__(
        self,
        checkers: TrustedCheckers,
        *,
        store: Path | None,
        device: str,
        dtype: str,
        threads: int = 1,
        path: DevicePath = PLAIN,
        buckets: tuple[int, ...] = (),
    ) -> None:
        self._checkers = checkers
        self._store = store
        self._device = device
        self._dtype = dtype
        self._threads = threads
        self._path = path
        self._buckets = buckets

    def __call__(self, manifest: ModelManifest, directory: Path, watch: LoadWatch) -> Model:
        """Verify, build and warm up. Raises ModelRefused."""
        torch.set_num_threads(self._threads)
        parts = load_parts(manifest, store=self._store, directory=directory, watch=watch, most_bytes=self._most_bytes)
        is_engine = parts.pipeline in ENGINE
        if is_engine:
            require_engine_fits(parts)
        model = self._described(manifest, parts, is_engine=is_engine)
        watch.building("Measuring number formats.")
        model = self._in_format(model, self._choose_dtype(model) if is_engine else self._plain_dtype())
        for module in _modules(parts):
            module.to(self._device)
        watch.building("Warming up.")
        model = self._prepared(self._warmed_up(model), watch) if is_engine else self._tried(model)
        return replace(model, held_bytes=model.held_bytes + weight_bytes(model.parts))

    def _described(self, manifest: ModelManifest, parts: Parts, *, is_engine: bool) -> Model:
        """The model in float32."""
        checker = self._checkers.attach(manifest, parts.weights.values())
        if checker is None:
            log.warning(
                "model %s names no trusted checker made for it, and there is no default: its orders fail",
                manifest.repository,
            )
        denoiser = parts.components.get("unet") or parts.components["transformer"]
        scale = 2 ** (len(parts.components["vae"].config.block_out_channels) - 1)
        side = int(denoiser.config.sample_size or 64) * scale
        scheduler = name_of(parts.scheduler_config) if is_denoising(parts.scheduler_config) else None
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
        )
        return Model(
            state=state,
            manifest=manifest,
            weights=parts.weights,
            checker=checker,
            default_width=side,
            default_height=side,
            side_multiple=scale * int(getattr(denoiser.config, "patch_size", None) or 1),
            default_scheduler=scheduler,
            scheduler_config=parts.scheduler_config,
            parts=parts.components,
            pipeline=parts.pipeline,
            device=self._device,
            dtype=torch.float32,
            zeros_for_empty=parts.zeros_for_empty,
            takes_negative_prompt=takes_negative_prompt(parts.pipeline),
        )

    def _in_format(self, model: Model, dtype: torch.dtype) -> Model:
        """The model with its weights in this number format."""
        for module in model.parts.values():
            if isinstance(module, torch.nn.Module):
                module.to(dtype)
        state = model.state.model_copy(update={"dtype": dtype_name(dtype)})
        return replace(model, dtype=dtype, state=state)

    @torch.inference_mode()
    def _warmed_up(self, model: Model) -> Model:
        """The model after its first calls, with the batch sizes that they proved. Raises ModelRefused."""
        with _working_together():
            model = replace(
                model,
                text_sizes=proven_sizes(lambda ids: encode(model, ids).flat(), trials.token_ids(model, max(SIZES))),
                image_sizes=proven_sizes(
                    lambda latents: decoded(model.parts["vae"], latents), trials.latents(model, max(SIZES))
                ),
            )
            model = self._measured(model)
        log.info("texts are encoded in %s at once, images decoded in %s", model.text_sizes, model.image_sizes)
        return model

    @torch.inference_mode()
    def _prepared(self, model: Model, watch: LoadWatch) -> Model:
        """The model with its denoiser on the device's path; every bucket that has a way of its own was called."""
        unet = model.parts["unet"]
        path = self._path.for_model(unet)
        model = replace(model, way=path.any_shape.way(unet, model.device, model.dtype))
        if path == path.any_shape:
            return model
        fast, called = path.way(unet, model.device, model.dtype), list[int]()
        buckets = path.rows(self._buckets)
        for number, bucket in enumerate(buckets, start=1):
            watch.building(f"Warming up: call {number} of {len(buckets)}.")
            try:
                trials.denoise_once(model, fast.call, bucket)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                log.warning("a call of %d rows does not fit into the memory", bucket)
                break
            called.append(bucket)
        held_bytes = packed_bytes(unet) if path.packed else 0
        return replace(model, fast=fast, fast_buckets=frozenset(called), held_bytes=held_bytes)

    def _tried(self, model: Model) -> Model:
        """A model outside of the engine, with what a run of its pipeline takes. Raises ModelRefused."""
        side, area = _trial(model)
        pixels = side * model.side_multiple
        with _working_together():
            run_bytes = peak_bytes(lambda: call_pipeline(model, prompt="a cat", width=pixels, height=pixels, steps=1))
        return replace(model, image_bytes=int(run_bytes * area))

    def _measured(self, model: Model) -> Model:
        """The model with what its calls take at the default size; measured at a small one where that is large."""
        side, area = _trial(model)
        row = peak_bytes(lambda: trials.denoise_once(model, model.parts["unet"], 1, side=side))
        image = peak_bytes(lambda: decoded(model.parts["vae"], trials.latents(model, 1, side=side)))
        return replace(model, row_bytes=int(row * area), image_bytes=int(image * area))

    def _plain_dtype(self) -> torch.dtype:
        if self._dtype == "auto":
            return torch.float32 if self._device == "cpu" else torch.bfloat16
        return torch.bfloat16 if self._dtype == "bfloat16" else torch.float32

    def _most_bytes(self, pipeline: str, values: dict[str, int]) -> int:
        """What a model with so many values in each part takes of the device's memory at its fullest.

        It is built in float32, in main memory, whatever format its files have.
        """
        if self._device != "cpu":
            return sum(values.values()) * self._plain_dtype().itemsize
        copied = values["unet"] if pipeline in ENGINE and self._compares_formats() else 0
        return sum(values.values()) * torch.float32.itemsize + copied * torch.bfloat16.itemsize

    def _compares_formats(self) -> bool:
        return self._dtype == "auto" and self._device == "cpu" and has_bfloat16()

    @torch.inference_mode()
    def _choose_dtype(self, model: Model) -> torch.dtype:
        """bfloat16 on a CPU only where the processor computes with it and it is measured to be faster."""
        if not self._compares_formats():
            return self._plain_dtype()
        unet = model.parts["unet"]
        sides = {torch.float32: unet, torch.bfloat16: _in_bfloat16(unet)}
        seconds = {
            dtype: trials.shortest_seconds(
                partial(trials.denoise_once, replace(model, dtype=dtype), denoiser, TRIAL_ROWS)
            )
            for dtype, denoiser in sides.items()
        }
        fastest = min(seconds, key=lambda dtype: seconds[dtype])
        log.info(
            "denoiser call of %d rows: float32 %.1f ms, bfloat16 %.1f ms; using %s",
            TRIAL_ROWS, *(1000 * value for value in seconds.values()), fastest,
        )  # fmt: skip
        return fastest


def require_engine_fits(parts: Parts) -> None:
    """Raise ModelRefused for a Stable Diffusion variant that needs more than latents, time, text and size."""
    config, vae = parts.components["unet"].config, parts.components["vae"].config
    is_xl = "text_encoder_2" in parts.components
    if config.in_channels != vae.latent_channels or config.out_channels != vae.latent_channels:
        raise ModelRefused("the denoiser works on other latents than the decoder (an inpainting model?)")
    if config.time_cond_proj_dim or config.class_embed_type or config.num_class_embeds:
        raise ModelRefused("the denoiser needs inputs that this server does not give it")
    if config.addition_embed_type != ("text_time" if is_xl else None):
        raise ModelRefused(
            f"the denoiser needs {config.addition_embed_type!r:.40}, which its pipeline does not give it"
        )
    if type(parts.components["text_encoder"]).__name__ != "CLIPTextModel":
        raise ModelRefused("the first text encoder must be a CLIPTextModel")
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


def _in_bfloat16(module: torch.nn.Module) -> torch.nn.Module:
    """A copy of a module in bfloat16, made without a second one in float32.

    Rounded and converted back, the module's own weights would not be the published ones any more.
    """
    copies: dict[int, torch.Tensor] = {
        id(value): torch.nn.Parameter(value.to(torch.bfloat16), requires_grad=False) for value in module.parameters()
    }
    return copy.deepcopy(module, copies).to(torch.bfloat16)


def _trial(model: Model) -> tuple[int, float]:
    """The side in latents at which a model is measured, and how many times that area its default size has."""
    default = model.default_width // model.side_multiple
    side = min(default, TRIAL_SIDE)
    return side, (default / side) ** 2


@contextlib.contextmanager
def _working_together() -> Iterator[None]:
    """First calls of a model's parts. Raises ModelRefused where they fail, MemoryError where they do not fit."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise ModelRefused(f"the parts do not work together: {type(error).__name__}: {str(error)[:200]}") from error


def _modules(parts: Parts) -> list[torch.nn.Module]:
    return [part for part in parts.components.values() if isinstance(part, torch.nn.Module)]
