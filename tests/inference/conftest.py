"""What the worker's tests are made of. One torch thread, random weights, no network.

tiny_dir        a Stable Diffusion pipeline of a few kilobytes in diffusers' layout, 32 x 32 pixels
manifest_of     manifest of a directory, content inline
checkers        the tiny pipeline's own checker, trusted by the server; it flags nothing
tiny_model      the tiny pipeline loaded by the real builder, float32
tiny_xl         a tiny Stable Diffusion XL, likewise; tiny_bf16, tiny_xl_bf16: both in bfloat16
load_tiny       loads a directory by the real builder with the tiny checker as the default
make_order      builds an ImageOrder; state only what the test is about
make_engine     a step engine that is not started: `run` ticks it until every order has ended
run             carries out orders on a fresh engine and returns each order's events
"""

import base64
import hashlib
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

from inference.building import ModelBuilder
from inference.contract import Event, ImageOrder, ManifestFile, ModelManifest, SafetyDemand, SldLevel
from inference.engine import Engine
from inference.fleet import Model
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.safety.prompts import read_rules
from inference.safety.trusted import TrustedCheckers, read_checker, trusted_checkers
from inference.ticket import Request, Ticket
from inference.watch import LoadWatch
from tests.inference.tiny import write_tiny_pipeline, write_tiny_xl

KEY = b"test-key-" * 4
ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="session")
def load_tiny(
    tiny_dir: Path, manifest_of: Callable[..., ModelManifest], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Model]:
    sha256 = read_checker(tiny_dir / "safety_checker").sha256
    trusted = trusted_checkers((tiny_dir / "safety_checker",), default=sha256, timeout_seconds=20)

    def load(directory: Path, dtype: str = "float32") -> Model:
        builder = ModelBuilder(trusted, store=None, device="cpu", dtype=dtype)
        return builder(manifest_of(directory), tmp_path_factory.mktemp("work"), LoadWatch())

    return load


@pytest.fixture(scope="session")
def tiny_xl_dir(tiny_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("xl") / "pipeline"
    write_tiny_xl(directory, tiny_dir / "tokenizer")
    return directory


@pytest.fixture(scope="session")
def tiny_xl(tiny_xl_dir: Path, load_tiny: Callable[..., Model]) -> Model:
    return load_tiny(tiny_xl_dir)


@pytest.fixture(scope="session")
def tiny_bf16(tiny_dir: Path, load_tiny: Callable[..., Model]) -> Model:
    return load_tiny(tiny_dir, "bfloat16")


@pytest.fixture(scope="session")
def tiny_xl_bf16(tiny_xl_dir: Path, load_tiny: Callable[..., Model]) -> Model:
    return load_tiny(tiny_xl_dir, "bfloat16")


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

    def build(*, max_rows: int = 24, release: Release | None = None, **options: Any) -> Engine:
        releases.append(release or Release(Runtime(torch_version="t", diffusers_version="d", device="cpu")))
        queue = FairQueue(waiting_orders=100, waiting_per_person=50)
        return Engine(queue, releases[-1], buckets=BUCKETS, max_rows=max_rows, **options)

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
