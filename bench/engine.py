"""Images per CPU second: concurrent requests through the step engine against the same ones through bare diffusers.

    python bench/engine.py [--model DIR] [--requests 8] [--steps 20] [--repeats 3]

All requests arrive at once ("engine") or one tick after another ("staggered"). Both sides run in this process, in
turns, with one torch thread, the same number format, steps, guidance, seeds and safety checker, and all end with PNG
bytes. Process CPU time is what counts: wall time on a shared machine is mostly other people's work. Bare diffusers is
`StableDiffusionPipeline`, and for the rows with Safe Latent Diffusion its deprecated `StableDiffusionPipelineSafe`, the
only bare thing there is.

Without --model it measures the bundled weights, or until they are there a random-weight pipeline of the same shape.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

import diffusers
import torch
import transformers

from inference.building import ModelBuilder
from inference.contract import (
    Event,
    Image,
    ImageOrder,
    ManifestFile,
    ModelManifest,
    SafetyDemand,
    SldLevel,
    Withheld,
)
from inference.emoji import weights_dir
from inference.engine import Engine
from inference.fleet import LoadWatch, Model
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.safety import levels
from inference.safety.prompts import read_rules
from inference.safety.trusted import read_checker, trusted_checkers
from inference.schedulers import make_scheduler
from inference.ticket import Request, Ticket

PROMPTS = (
    "a doctor",
    "a red apple",
    "a cat on a blue background",
    "a teacher",
    "a bus",
    "the sun",
    "a horse",
    "a rose",
)
GUIDANCE = 4.0


@dataclass
class Cost:
    """Of one round of all requests, in seconds."""

    cpu: float
    wall: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="pipeline directory (default: the bundled weights)")
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    quiet()
    with tempfile.TemporaryDirectory() as scratch:
        directory = arguments.model or (weights_dir() if weights_dir().is_dir() else random_pipeline(Path(scratch)))
        model = load(directory, Path(scratch))
        print(f"model        {directory.name}, {arguments.requests} requests of {arguments.steps} steps, {model.dtype}")
        print(f"versions     torch {torch.__version__}, diffusers {diffusers.__version__}; {cpu_name()}")
        print(f"load         {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors when the run began")
        for level in (SldLevel.OFF, SldLevel.MEDIUM):
            measure(model, directory, level, arguments)


def measure(model: Model, directory: Path, level: SldLevel, arguments: argparse.Namespace) -> None:
    """One table: the best round of each side, in turns."""
    orders = [make_order(model, index, arguments.steps, level) for index in range(arguments.requests)]
    pipeline = bare_pipeline(model, directory, level)
    sides: dict[str, Callable[[], None]] = {
        "diffusers": lambda: through_diffusers(pipeline, model, orders),
        "engine": lambda: through_engine(model, orders),
        "staggered": lambda: through_engine(model, orders, ticks_apart=1),
    }
    rounds: dict[str, list[Cost]] = {name: [] for name in sides}
    for repeat in range(arguments.repeats + 1):
        for name, side in sides.items():
            cost = timed(side)
            if repeat > 0:  # the first round warms up
                rounds[name].append(cost)
    cpu = {name: min(cost.cpu for cost in costs) for name, costs in rounds.items()}
    wall = {name: min(cost.wall for cost in costs) for name, costs in rounds.items()}
    count = len(orders)
    print(f"\nSLD {level}")
    for name in sides:
        print(
            f"  {name:<10} {count / cpu[name]:6.2f} images per CPU second   {cpu[name]:6.2f} CPU s   "
            f"{wall[name]:6.2f} s wall   {1000 * cpu[name] / count:6.0f} CPU ms an image"
        )
    for name in ("engine", "staggered"):
        by_cpu, by_wall = (clock["diffusers"] / clock[name] for clock in (cpu, wall))
        print(f"  {name:<10} {by_cpu:6.2f} times bare diffusers by CPU time, {by_wall:.2f} by wall time")


def timed(work: Callable[[], None]) -> Cost:
    """CPU seconds of the whole process, and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def through_engine(model: Model, orders: list[ImageOrder], *, ticks_apart: int = 0) -> None:
    """All orders as the worker does it: queue, engine, decoding, check, PNG, receipts."""
    events: list[Event] = []
    rules = read_rules()
    runtime = Runtime(torch.__version__, diffusers.__version__, "cpu")
    release = Release(runtime, on_start=lambda: torch.set_num_threads(1))
    engine = Engine(
        FairQueue(waiting_orders=100, waiting_per_person=100), release, buckets=(1, 2, 3, 4, 6, 8, 16, 24), max_rows=24
    )
    waiting, is_busy, tick = list(orders), True, 0
    while waiting or is_busy:
        while waiting and (ticks_apart == 0 or tick % ticks_apart == 0):
            order = waiting.pop(0)
            request = Request(order, model, rules, model.default_width, model.default_height, model.default_scheduler)
            engine.queue.put(Ticket(request, events.append))
            if ticks_apart:
                break
        is_busy = engine.tick()
        tick += 1
    release.close()
    outcomes = [event for event in events if isinstance(event, Image | Withheld)]
    assert len(outcomes) == len(orders), "an order was lost"


def through_diffusers(pipeline: Any, model: Model, orders: list[ImageOrder]) -> None:
    """The same orders one after another."""
    for order in orders:
        options: dict[str, Any] = {}
        if order.safety.sld_level is not SldLevel.OFF:
            level = levels.PARAMETERS[order.safety.sld_level].scaled_to(order.steps)
            options = {
                "sld_warmup_steps": level.warmup_steps,
                "sld_guidance_scale": level.guidance_scale,
                "sld_threshold": level.threshold,
                "sld_momentum_scale": level.momentum_scale,
                "sld_mom_beta": level.momentum_beta,
            }
        image = pipeline(
            order.prompt,
            num_inference_steps=order.steps,
            guidance_scale=order.guidance_scale,
            generator=torch.Generator().manual_seed(order.seed),
            **options,
        ).images[0]
        image.save(io.BytesIO(), "PNG")


def bare_pipeline(model: Model, directory: Path, level: SldLevel) -> Any:
    """diffusers over the very same modules, with the model's checker in the same number format."""
    checker = read_checker(directory / "safety_checker")
    kind = diffusers.StableDiffusionPipeline
    if level is not SldLevel.OFF:
        from diffusers.pipelines.deprecated.stable_diffusion_safe import StableDiffusionPipelineSafe

        kind = StableDiffusionPipelineSafe
    pipeline = kind(
        **model.parts,
        scheduler=make_scheduler(model.default_scheduler, model.scheduler_config),
        safety_checker=checker._module.to(model.dtype),
        feature_extractor=checker._processor,
    )
    pipeline.set_progress_bar_config(disable=True)
    if level is not SldLevel.OFF:
        pipeline.safety_concept = levels.SAFETY_CONCEPT
    return pipeline


def make_order(model: Model, index: int, steps: int, level: SldLevel) -> ImageOrder:
    """Request number `index`."""
    return ImageOrder(
        id=f"bench-{index}",
        model=model.state.digest,
        prompt=PROMPTS[index % len(PROMPTS)],
        steps=steps,
        guidance_scale=GUIDANCE,
        seed=index,
        safety=SafetyDemand(sld_level=level),
        deadline_at=datetime.now(UTC) + timedelta(hours=1),
        person_key=f"person-{index}",
    )


def load(directory: Path, scratch: Path) -> Model:
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


if __name__ == "__main__":
    main()
