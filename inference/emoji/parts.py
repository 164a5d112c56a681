"""Names for the parts of a pipeline.

diffusers and transformers put their classes together at run time, which the type checker cannot follow: to it, each of
these is anything. The names tell a reader what is meant.
"""

from typing import Any, TypeAlias

Autoencoder: TypeAlias = Any  # diffusers.AutoencoderKL
Unet: TypeAlias = Any  # diffusers.UNet2DConditionModel
Scheduler: TypeAlias = Any  # diffusers.DPMSolverMultistepScheduler
Pipeline: TypeAlias = Any  # diffusers.StableDiffusionPipeline
Checker: TypeAlias = Any  # diffusers' StableDiffusionSafetyChecker
Reader: TypeAlias = Any  # transformers.CLIPModel
TextEncoder: TypeAlias = Any  # transformers.CLIPTextModel
