"""Samplers by name: which diffusers class and which configuration stands behind each."""

from typing import Any

import diffusers
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from inference.contract import LONGEST_RUNS, Scheduler

_KINDS: dict[Scheduler, tuple[type[Any], dict[str, Any]]] = {
    # clip_sample and set_alpha_to_one as Stable Diffusion's own configurations have them: latents are not pixels.
    Scheduler.DDIM: (DDIMScheduler, {"clip_sample": False, "set_alpha_to_one": False}),
    Scheduler.PNDM: (PNDMScheduler, {"skip_prk_steps": True}),
    Scheduler.EULER: (EulerDiscreteScheduler, {"use_karras_sigmas": False}),
    Scheduler.EULER_A: (EulerAncestralDiscreteScheduler, {}),
    Scheduler.DPMPP_2M: (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": False},
    ),
    Scheduler.DPMPP_2M_KARRAS: (
        DPMSolverMultistepScheduler,
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    Scheduler.UNIPC: (UniPCMultistepScheduler, {"solver_order": 2, "use_karras_sigmas": False}),
    Scheduler.LCM: (LCMScheduler, {"clip_sample": False, "original_inference_steps": LONGEST_RUNS[Scheduler.LCM]}),
}

# What of a repository's own configuration belongs to the model (how it was trained) and not to the sampler.
_MODEL_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
    "rescale_betas_zero_snr",
)


def make_scheduler(name: Scheduler, model_config: dict[str, Any]) -> Any:
    """A new sampler for one image: schedulers hold state, so none is ever shared."""
    kind, own = _KINDS[name]
    config = {key: model_config[key] for key in _MODEL_KEYS if key in model_config}
    return kind.from_config({**config, **own})


def published_scheduler(model_config: dict[str, Any]) -> Any:
    """A new sampler of the repository's own kind and configuration, for models that no other can sample."""
    return getattr(diffusers, model_config["_class_name"]).from_config(model_config)


def is_denoising(model_config: dict[str, Any]) -> bool:
    """Whether the samplers above fit a model; flow-matching models have their own."""
    return "FlowMatch" not in str(model_config.get("_class_name"))


def name_of(model_config: dict[str, Any]) -> Scheduler:
    """The name nearest to a repository's own scheduler; DPM++ 2M for those that have no name here."""
    match model_config.get("_class_name"), bool(model_config.get("use_karras_sigmas")):
        case "DDIMScheduler", _:
            return Scheduler.DDIM
        case "PNDMScheduler", _:
            return Scheduler.PNDM
        case "EulerDiscreteScheduler", _:
            return Scheduler.EULER
        case "EulerAncestralDiscreteScheduler", _:
            return Scheduler.EULER_A
        case "UniPCMultistepScheduler", _:
            return Scheduler.UNIPC
        case "LCMScheduler", _:
            return Scheduler.LCM
        case _, True:
            return Scheduler.DPMPP_2M_KARRAS
        case _:
            return Scheduler.DPMPP_2M
