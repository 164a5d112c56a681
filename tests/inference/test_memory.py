"""Memory is measured, not guessed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference.building import ModelBuilder, _in_bfloat16
from inference.contract import ModelManifest
from inference.fleet import Model
from inference.memory import is_out_of_memory, peak_bytes, usable_bytes, weight_bytes
from inference.safety.trusted import TrustedCheckers
from inference.watch import LoadWatch


class Asked(LoadWatch):
    """Remembers what was said before anything was built."""

    files_bytes = most_bytes = 0

    def expect(self, total_bytes: int) -> None:
        self.files_bytes = total_bytes

    def hold(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes


@pytest.fixture(scope="module")
def half_dir(tiny_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline with its weights in float16."""
    directory = tmp_path_factory.mktemp("half") / "pipeline"
    shutil.copytree(tiny_dir, directory)
    for path in directory.rglob("*.safetensors"):
        tensors = load_file(path)
        save_file({name: tensor.half() for name, tensor in tensors.items()}, path, {"format": "pt"})
    return directory


def test_the_peak_is_what_was_alive_at_one_time() -> None:
    def call() -> None:
        first = torch.zeros(1000)
        second = first + 1  # two alive
        view = second.view(10, 100)  # no memory of its own
        del first
        torch.relu_(view)
        torch.zeros(500)

    assert peak_bytes(call) == 2 * 4000


def test_a_model_knows_what_it_holds_and_what_its_calls_take(tiny_model: Model) -> None:
    unet = sum(p.numel() for p in tiny_model.parts["unet"].parameters()) * 4

    assert tiny_model.held_bytes == weight_bytes(tiny_model.parts) > unet
    assert tiny_model.row_bytes > 4 * 8 * 8 * 4  # more than the latents themselves
    assert tiny_model.call_bytes(8, 64, 64) > 3 * tiny_model.call_bytes(8, 32, 32)


@pytest.mark.parametrize("compares", [False, True])
def test_room_is_made_for_what_building_takes_and_not_for_the_files(
    half_dir: Path,
    checkers: TrustedCheckers,
    manifest_of: Callable[[Path], ModelManifest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    compares: bool,
) -> None:
    monkeypatch.setattr("inference.building.has_bfloat16", lambda: compares)
    watch, build = Asked(), ModelBuilder(checkers, store=None, device="cpu", dtype="auto")
    taken = []

    def measured(model: Model, dtype: torch.dtype) -> Model:
        taken.append(weight_bytes(model.parts))
        return in_format(model, dtype)

    in_format, build._in_format = build._in_format, measured  # type: ignore[method-assign]

    model = build(manifest_of(half_dir), tmp_path, watch)

    values = sum(parameter.numel() for parameter in model.parts["unet"].parameters())
    assert watch.most_bytes == pytest.approx(taken[0] + 2 * values * compares, rel=0.01)
    assert watch.most_bytes > 1.5 * watch.files_bytes


def test_comparing_number_formats_makes_no_second_copy_in_float32(tiny_model: Model) -> None:
    unet = tiny_model.parts["unet"]

    peak = peak_bytes(lambda: _in_bfloat16(unet))

    assert peak == pytest.approx(2 * sum(parameter.numel() for parameter in unet.parameters()), rel=0.05)
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.float32}


def test_the_machine_has_some_memory_to_use() -> None:
    assert usable_bytes("cpu") > 2**20


def test_torch_says_it_in_two_ways() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
