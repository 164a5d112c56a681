"""What the worker's tests are made of. One torch thread, random weights, no network.

tiny_dir        a Stable Diffusion pipeline of a few kilobytes in diffusers' layout, 32 x 32 pixels
manifest_of     manifest of a directory, content inline
checkers        the tiny pipeline's own checker, trusted by the server; it flags nothing
tiny_model      the tiny pipeline loaded by the real builder, float32
make_order      builds an ImageOrder; state only what the test is about
make_engine     a step engine that is not started: `run` ticks it until every order has ended
run             carries out orders on a fresh engine and returns each order's events
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from inference.building import ModelBuilder
from inference.contract import Event, ImageOrder, ManifestFile, ModelManifest, SafetyDemand, SldLevel
from inference.engine import Engine
from inference.fleet import LoadWatch, Model
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.safety.prompts import read_rules
from inference.safety.trusted import TrustedCheckers, trusted_checkers
from inference.ticket import Request, Ticket

KEY = b"test-key-" * 4
ROOT = Path(__file__).parents[2]
TOKENS = 16
WIDTH = 16
BUCKETS = (1, 2, 3, 4, 6, 8, 16, 24)


# Warnings of diffusers' and torch's own making, which no caller can avoid.
UPSTREAM = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:.*You have disabled the safety checker:UserWarning",
    "ignore:Accessing config attribute:FutureWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for warning in UPSTREAM:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    diffusers.utils.logging.set_verbosity_error()


@pytest.fixture(scope="session")
def tiny_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny") / "pipeline"
    write_tiny_pipeline(directory)
    return directory


@pytest.fixture(scope="session")
def make_manifest() -> Callable[[dict[str, bytes]], ModelManifest]:
    return manifest


@pytest.fixture(scope="session")
def manifest_of() -> Callable[[Path], ModelManifest]:
    def build(directory: Path) -> ModelManifest:
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
        return manifest({str(path.relative_to(directory)): path.read_bytes() for path in paths})

    return build


@pytest.fixture(scope="session")
def checkers(tiny_dir: Path) -> TrustedCheckers:
    return trusted_checkers((tiny_dir / "safety_checker",), default=None, timeout_seconds=20)


@pytest.fixture(scope="session")
def tiny_model(
    tiny_dir: Path,
    manifest_of: Callable[..., ModelManifest],
    checkers: TrustedCheckers,
    tmp_path_factory: pytest.TempPathFactory,
) -> Model:
    builder = ModelBuilder(checkers, store=None, device="cpu", dtype="float32")
    return builder(manifest_of(tiny_dir), tmp_path_factory.mktemp("work"), LoadWatch())


@pytest.fixture
def make_order(tiny_model: Model) -> Callable[..., ImageOrder]:
    numbers = count(1)

    def build(**changes: Any) -> ImageOrder:
        level = changes.pop("sld", SldLevel.OFF)
        values: dict[str, Any] = {
            "id": f"order-{next(numbers)}",
            "model": tiny_model.state.digest,
            "prompt": "a cat",
            "steps": 4,
            "guidance_scale": 5.0,
            "safety": SafetyDemand(sld_level=level),
            "deadline_at": datetime.now(UTC) + timedelta(minutes=5),
            "person_key": "somebody",
        }
        return ImageOrder(**(values | changes))

    return build


@pytest.fixture
def make_ticket(tiny_model: Model) -> Callable[..., tuple[Ticket, list[Event]]]:
    rules = read_rules()

    def build(order: ImageOrder, model: Model = tiny_model) -> tuple[Ticket, list[Event]]:
        events: list[Event] = []
        request = Request(
            order=order,
            model=model,
            rules=rules,
            width=order.width or model.default_width,
            height=order.height or model.default_height,
            scheduler=order.scheduler or model.default_scheduler,
        )
        return Ticket(request, events.append), events

    return build


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Engine]]:
    releases: list[Release] = []

    def build(*, max_rows: int = 24) -> Engine:
        releases.append(Release(Runtime(torch_version="t", diffusers_version="d", device="cpu")))
        queue = FairQueue(waiting_orders=100, waiting_per_person=50)
        return Engine(queue, releases[-1], buckets=BUCKETS, max_rows=max_rows)

    yield build
    for release in releases:
        release.close()


@pytest.fixture
def run(
    make_engine: Callable[..., Engine], make_ticket: Callable[..., tuple[Ticket, list[Event]]]
) -> Callable[..., list[list[Event]]]:
    """Orders as arguments; `at` gives the tick at which each arrives (default: all before the first)."""

    def carry_out(
        *orders: ImageOrder, at: tuple[int, ...] = (), model: Model | None = None, engine: Engine | None = None
    ) -> list[list[Event]]:
        engine = engine or make_engine()
        pairs = [make_ticket(order, model) if model else make_ticket(order) for order in orders]
        arrivals = at or (0,) * len(orders)
        tick, is_busy = 0, True
        while is_busy or tick <= max(arrivals):
            for (ticket, _), arrival in zip(pairs, arrivals, strict=True):
                if arrival == tick:
                    engine.queue.put(ticket)
            is_busy = engine.tick()
            tick += 1
        engine._release.close()
        return [events for _, events in pairs]

    return carry_out


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def fake_socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gk-") as directory:  # short: a socket's path has 107 bytes
        socket = Path(directory) / "w.sock"
        settings = {"INFERENCE_SOCKET": str(socket), "INFERENCE_KEY": KEY.decode(), "INFERENCE_FAKE": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "inference"], env=os.environ | settings, stderr=subprocess.PIPE, cwd=ROOT
        )
        while not socket.exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
        yield socket
        process.terminate()
        process.communicate(timeout=20)


def manifest(files: dict[str, bytes]) -> ModelManifest:
    """A manifest that carries every file inside."""
    return ModelManifest(
        repository="demo/tiny",
        commit="0" * 40,
        files=tuple(
            ManifestFile(
                path=path,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                inline=base64.b64encode(content).decode(),
            )
            for path, content in files.items()
        ),
    )


def write_tiny_pipeline(directory: Path) -> None:
    """A complete Stable Diffusion pipeline with random weights and a checker that fires for nothing."""
    torch.manual_seed(0)
    vocabulary = write_tokenizer(directory / "tokenizer")
    end = vocabulary["<|endoftext|>"]
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        mid_block_add_attention=False,
        sample_size=32,
        scaling_factor=0.7,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=end,
            pad_token_id=end,
        )
    )
    side = {"height": 32, "width": 32}
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(str(directory / "tokenizer"), model_max_length=TOKENS),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=tiny_checker(),
        feature_extractor=CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=side),
    )
    pipeline.save_pretrained(str(directory))
    (directory / "safety_checker" / "concepts.json").write_text(json.dumps([f"thing {i}" for i in range(17)]))


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
