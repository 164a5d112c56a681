"""Complete pipelines of a few kilobytes with random weights, in diffusers' layout."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

TOKENS = 16
WIDTH = 16
TRAINED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def write_tiny_pipeline(directory: Path) -> None:
    """Stable Diffusion, 32 x 32 pixels, with a checker that fires for nothing."""
    torch.manual_seed(0)
    write_tokenizer(directory / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(str(directory / "tokenizer"), model_max_length=TOKENS)
    side = {"height": 32, "width": 32}
    diffusers.StableDiffusionPipeline(
        vae=_vae(layers_per_block=1, mid_block_add_attention=False, sample_size=32, scaling_factor=0.7),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(layers_per_block=1, norm_num_groups=4, cross_attention_dim=WIDTH),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, set_alpha_to_one=False, **TRAINED),
        safety_checker=tiny_checker(),
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side),
    ).save_pretrained(str(directory))
    (directory / "safety_checker" / "concepts.json").write_text(json.dumps([f"thing {i}" for i in range(17)]))


def write_tiny_xl(directory: Path, tokenizer_dir: Path) -> None:
    """Stable Diffusion XL without a checker: two text encoders, pooled text, image size as a condition."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_dir))
    text = _text_config(tokenizer, projection_dim=16)
    diffusers.StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            cross_attention_dim=2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
            transformer_layers_per_block=1,
        ),
        scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear"),
    ).save_pretrained(str(directory))


def write_tiny_lcm(directory: Path, tokenizer_dir: Path) -> None:
    """A latent consistency model: distilled, its denoiser is told the guidance."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_dir))
    diffusers.LatentConsistencyModelPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text_config(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(cross_attention_dim=WIDTH, time_cond_proj_dim=8),
        scheduler=diffusers.LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(str(directory))


def write_tiny_sd3(directory: Path, tokenizer_dir: Path) -> None:
    """Stable Diffusion 3 without its third text encoder: a flow-matching transformer."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(str(tokenizer_dir))
    text = _text_config(tokenizer, projection_dim=16)
    diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            pos_embed_max_size=16,
        ),
        vae=_vae(shift_factor=0.1),
        text_encoder=CLIPTextModelWithProjection(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        text_encoder_3=None,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        tokenizer_3=None,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
    ).save_pretrained(str(directory))


def tiny_checker(threshold: float = 0.9) -> StableDiffusionSafetyChecker:
    """A checker with random concepts; with a threshold of -1 it flags every image."""
    vision = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=32))
    checker.concept_embeds.copy_(torch.randn(17, 32))
    checker.special_care_embeds.copy_(torch.randn(3, 32))
    checker.concept_embeds_weights.fill_(threshold)
    checker.special_care_embeds_weights.fill_(0.99)
    return checker.eval()


def write_tokenizer(directory: Path) -> dict[str, int]:
    """A byte-level CLIP tokenizer without merges, and its vocabulary."""
    directory.mkdir(parents=True)
    letters = sorted(ByteLevel.alphabet())
    entries = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    (directory / "vocab.json").write_text(json.dumps(vocabulary))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    return vocabulary


def _text_config(tokenizer: CLIPTokenizer, **changes: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        **changes,
    )


def _vae(**changes: Any) -> diffusers.AutoencoderKL:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        **changes,
    )


def _unet(**changes: Any) -> diffusers.UNet2DConditionModel:
    return diffusers.UNet2DConditionModel(
        **{
            "sample_size": 8,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "attention_head_dim": 4,
            "norm_num_groups": 4,
            **changes,
        }
    )
