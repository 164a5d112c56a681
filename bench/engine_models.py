"""Models for bench/engine.py: the bundled one or one of its shape with random weights, loaded as the worker does it."""

import hashlib
import json
import shutil
from pathlib import Path

import diffusers
import torch
import transformers

from inference.building import ModelBuilder
from inference.contract import ManifestFile, ModelManifest
from inference.fleet import Model
from inference.safety.trusted import trusted_checkers
from inference.watch import LoadWatch


def load_model(directory: Path, scratch: Path) -> Model:
    """The model as the worker loads it: from a content-addressed store."""
    store, files = scratch / "store", []
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        place = store / "sha256" / digest[:2] / digest[2:4] / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        files.append(ManifestFile(path=str(path.relative_to(directory)), size_bytes=path.stat().st_size, sha256=digest))
    manifest = ModelManifest(repository="bench/model", commit="0" * 40, files=tuple(files))
    checkers = trusted_checkers((directory / "safety_checker",), default=None, timeout_seconds=30)
    private = scratch / "private"
    private.mkdir(mode=0o700)
    return ModelBuilder(checkers, store=store, device="cpu", dtype="auto")(manifest, private, LoadWatch())


def random_pipeline(directory: Path) -> Path:
    """A pipeline of the bundled model's shape with random weights: 64 px, 8.6 million in the denoiser."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    directory = directory / "random-weights"
    tokenizer_dir = directory / "tokenizer"
    tokenizer_dir.mkdir(parents=True)
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (tokenizer_dir / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (tokenizer_dir / "merges.txt").write_text("#version: 0.2\n")
    end = len(words) - 1
    text = {"vocab_size": len(words), "hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 3}
    tokens = {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end, "max_position_embeddings": 24}
    vision = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "image_size": 64, "patch_size": 16}
    checker = StableDiffusionSafetyChecker(
        transformers.CLIPConfig(vision_config={**vision, "num_attention_heads": 4}, projection_dim=128)
    )
    for name, value in (("concept_embeds", None), ("special_care_embeds", None), ("concept_embeds_weights", 0.9)):
        parameter = getattr(checker, name)
        parameter.copy_(torch.randn_like(parameter) if value is None else torch.full_like(parameter, value))
    side = {"height": 64, "width": 64}
    diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(32, 64, 96),
            layers_per_block=1,
            norm_num_groups=16,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            mid_block_add_attention=False,
            sample_size=64,
            scaling_factor=1.0,
        ),
        text_encoder=transformers.CLIPTextModel(transformers.CLIPTextConfig(num_attention_heads=4, **text, **tokens)),
        tokenizer=transformers.CLIPTokenizer.from_pretrained(str(tokenizer_dir), model_max_length=24),
        unet=diffusers.UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(64, 128, 192),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=192,
            attention_head_dim=4,
            norm_num_groups=16,
        ),
        scheduler=diffusers.DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        safety_checker=checker,
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 64}, crop_size=side),
    ).save_pretrained(str(directory))
    return directory


def cpu_name() -> str:
    """The processor's name, or its architecture."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def quiet() -> None:
    """Only the figures are printed."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
