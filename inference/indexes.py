"""What a repository's `model_index.json` may say. It is read here as data and never reaches diffusers: every (library,
class) in it must be on the list below, and no configuration may name code.
"""

from typing import Any

from inference.fleet import ModelRefused

INDEX = "model_index.json"

# Pipelines, and the parts each must have. Those of ENGINE run in the step engine, the others through diffusers.
PIPELINES = {
    "StableDiffusionPipeline": ("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    "StableDiffusionXLPipeline": (
        "unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler",
    ),
    "LatentConsistencyModelPipeline": ("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    "StableDiffusion3Pipeline": (
        "transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler",
    ),
}  # fmt: skip
ENGINE = frozenset({"StableDiffusionPipeline", "StableDiffusionXLPipeline"})
_MAY_HAVE = ("text_encoder_3", "tokenizer_3")  # Stable Diffusion 3 runs with and without its third text encoder

_SCHEDULERS = frozenset(
    ("diffusers", name)
    for name in [
        "DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
        "DPMSolverMultistepScheduler", "LMSDiscreteScheduler", "UniPCMultistepScheduler", "HeunDiscreteScheduler",
        "LCMScheduler", "FlowMatchEulerDiscreteScheduler",
    ]
)  # fmt: skip
_CLIP = frozenset({("transformers", "CLIPTextModel")})
_CLIP_PROJECTION = frozenset({("transformers", "CLIPTextModelWithProjection")})
_T5 = frozenset({("transformers", "T5EncoderModel")})
_CLIP_TOKENIZERS = frozenset({("transformers", "CLIPTokenizer"), ("transformers", "CLIPTokenizerFast")})
_T5_TOKENIZERS = frozenset({("transformers", "T5Tokenizer"), ("transformers", "T5TokenizerFast")})

# What may stand in each place of the index. Everything else is refused, wherever it stands.
ALLOWED = {
    "unet": frozenset({("diffusers", "UNet2DConditionModel")}),
    "transformer": frozenset({("diffusers", "SD3Transformer2DModel")}),
    "vae": frozenset({("diffusers", "AutoencoderKL")}),
    "text_encoder": _CLIP | _CLIP_PROJECTION,
    "text_encoder_2": _CLIP_PROJECTION,
    "text_encoder_3": _T5,
    "tokenizer": _CLIP_TOKENIZERS,
    "tokenizer_2": _CLIP_TOKENIZERS,
    "tokenizer_3": _T5_TOKENIZERS,
    "scheduler": _SCHEDULERS,
    # Named by public repositories, read past, never built.
    "safety_checker": frozenset({("stable_diffusion", "StableDiffusionSafetyChecker")}),
    "feature_extractor": frozenset(
        ("transformers", name) for name in ["CLIPFeatureExtractor", "CLIPImageProcessor", "CLIPImageProcessorPil"]
    ),
    "image_encoder": frozenset({("transformers", "CLIPVisionModelWithProjection")}),
}

# Keys by which a configuration could bring in code or other libraries.
_FORBIDDEN_KEYS = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "quantization_config",
        "attn_implementation",
        "_attn_implementation",
        "trust_remote_code",
    }
)


def read_index(index: Any) -> tuple[str, dict[str, tuple[str, str]]]:
    """Pipeline class and the (library, class) of each part to build, from the untrusted index. Raises ModelRefused."""
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelRefused(f"{INDEX} names no pipeline class, or one with code of its own")
    pipeline = index["_class_name"]
    if pipeline not in PIPELINES:
        raise ModelRefused(f"{INDEX} names the pipeline {pipeline[:80]!r}, which this server does not run")
    require_plain_config(index, INDEX)
    places: dict[str, tuple[str, str]] = {}
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list):
            if not name.startswith("_") and not isinstance(value, bool | int | float | None):
                raise ModelRefused(f"{INDEX} gives {name[:80]!r} a value of an unknown kind")
            continue
        if value == [None, None]:
            continue
        if len(value) != 2 or tuple(value) not in ALLOWED.get(name, frozenset()):
            raise ModelRefused(
                f"{INDEX} puts {value!r:.120} in the place {name[:80]!r}, which is not on the server's list"
            )
        places[name] = (value[0], value[1])
    if missing := [name for name in PIPELINES[pipeline] if name not in places]:
        raise ModelRefused(f"{INDEX} lacks {', '.join(missing)}")
    return pipeline, {name: places[name] for name in (*PIPELINES[pipeline], *_MAY_HAVE) if name in places}


def require_plain_config(value: Any, name: str) -> None:
    """Refuse, at any depth, the keys by which a configuration names code."""
    if isinstance(value, dict):
        if bad := _FORBIDDEN_KEYS & {key for key, item in value.items() if item is not None}:
            raise ModelRefused(f"{name} holds {', '.join(sorted(bad))}, which can bring in code")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            require_plain_config(item, name)
