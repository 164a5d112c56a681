"""The device path, as far as it goes without a GPU: choices, static shapes, recorded calls on static inputs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from inference import trials
from inference.building import ModelBuilder
from inference.contract import Event, Image, ImageOrder, ModelManifest, ReceiptFacts, SldLevel
from inference.device import DevicePath, Recorded, measured_threads
from inference.fleet import Model, Way
from inference.machine import make_workshop
from inference.safety.trusted import TrustedCheckers
from inference.safety.verdict import CheckerError
from inference.settings import Settings
from inference.watch import LoadWatch

Run = Callable[..., list[list[Event]]]
MakeOrder = Callable[..., ImageOrder]


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


def png(events: list[Event]) -> str:
    return next(event.png_base64 for event in events if isinstance(event, Image))


def receipt(events: list[Event]) -> ReceiptFacts:
    return next(event.receipt for event in events if isinstance(event, Image))


def replayed(call: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
    """What a recorded graph does, without one: compute again into the same output."""
    output = call()

    def replay() -> None:
        output.copy_(call())

    return replay, output


def test_auto_is_what_suits_the_device() -> None:
    assert DevicePath.choose(settings(), "cuda") == DevicePath(channels_last=True, compiled=True, recorded=True)
    assert DevicePath.choose(settings(), "cpu") == DevicePath(packed=True)
    assert DevicePath.choose(settings(packed="off"), "cpu") == DevicePath()
    assert not DevicePath.choose(settings(compile="on"), "cpu").packed
    assert DevicePath.choose(settings(compile="off", attention="math"), "cuda:1") == DevicePath(
        channels_last=True, recorded=True, attention="math"
    )
    assert not DevicePath.choose(settings(cuda_graphs="on"), "cpu").recorded


@pytest.mark.parametrize(
    ("device", "dtype", "kernels"),
    [
        ("cuda:0", torch.float32, "attention=auto tf32=off"),
        ("cuda:0", torch.bfloat16, "attention=auto"),
        ("cpu", torch.float32, "attention=auto"),
    ],
)
def test_the_receipt_says_that_float32_on_a_gpu_is_float32(device: str, dtype: torch.dtype, kernels: str) -> None:
    assert DevicePath().kernels(device, dtype) == kernels


def test_the_image_checker_is_where_the_models_are(tiny_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[Any] = []

    def to(module: torch.nn.Module, device: Any) -> torch.nn.Module:
        devices.append(device)
        raise RuntimeError("no such device here")

    monkeypatch.setattr("inference.safety.trusted.StableDiffusionSafetyChecker.to", to)
    with pytest.raises(CheckerError, match="no such device here"):
        make_workshop(settings(device="cuda:1", threads=1, checkers=str(tiny_dir / "safety_checker")))

    assert devices == ["cuda:1"]


@pytest.mark.parametrize(
    "path",
    [DevicePath(channels_last=True), DevicePath(attention="math"), DevicePath(attention="flash")],
    ids=str,
)
@pytest.mark.parametrize("name", ["tiny_model", "tiny_xl", "tiny_bf16"])
def test_alone_and_mixed_are_the_same_bits_on_every_path(
    run: Run, make_order: MakeOrder, request: pytest.FixtureRequest, name: str, path: DevicePath
) -> None:
    model: Model = request.getfixturevalue(name)
    try:
        model = replace(model, way=path.way(model.parts["unet"], "cpu", model.dtype))
        order = make_order(seed=3, sld=SldLevel.MAX, negative_prompt="rain", bucket=8)
        other = make_order(seed=4, steps=7, bucket=8)
        [alone] = run(order, model=model)
        _, mixed = run(other, order, at=(0, 2), model=model)
    finally:
        model.parts["unet"].to(memory_format=torch.contiguous_format)

    assert png(alone) == png(mixed)
    assert receipt(alone).kernels == str(path)


@pytest.mark.parametrize("kind", ["1.x", "xl"])
def test_a_recorded_denoiser_gives_what_the_denoiser_gives(
    run: Run, make_order: MakeOrder, tiny_model: Model, tiny_xl: Model, kind: str
) -> None:
    model = {"1.x": tiny_model, "xl": tiny_xl}[kind]
    orders = [make_order(seed=seed, steps=4, bucket=4) for seed in range(3)]
    records: list[object] = []

    def record(call: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        records.append(call)
        return replayed(call)

    plain = [png(events) for events in run(*orders, model=model)]
    fast = Way(Recorded(model.parts["unet"], record=record))
    recorded = run(*orders, model=replace(model, fast=fast, fast_buckets=frozenset({4})))

    assert [png(events) for events in recorded] == plain
    assert len(records) == 1  # one shape


def test_a_bucket_is_compiled_once_and_neither_company_nor_another_size_compiles_anything(
    run: Run, make_order: MakeOrder, tiny_model: Model
) -> None:
    graphs: list[object] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    denoiser = DevicePath(compiled=True).prepared(tiny_model.parts["unet"], backend=backend)
    model = replace(tiny_model, way=Way(kernels="plain"), fast=Way(denoiser, "compiled"), fast_buckets=frozenset({4}))
    try:
        run(make_order(steps=1, bucket=4), model=model)
        assert (once := len(graphs)) > 0
        orders = [*(make_order(steps=3, seed=seed, bucket=4) for seed in range(3)), make_order(width=64, bucket=4)]
        made = run(*orders, make_order(bucket=6), model=model)
        assert len(graphs) == once
        assert [receipt(events).kernels for events in made] == ["compiled"] * 3 + ["plain"] * 2
    finally:
        torch._dynamo.reset()


def test_only_what_was_called_while_loading_is_called_as_it_was_compiled(
    checkers: TrustedCheckers,
    tiny_dir: Path,
    manifest_of: Callable[[Path], ModelManifest],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows: list[int] = []

    def compiled(denoiser: Any, **_: Any) -> Callable[..., Any]:
        def call(latents: Tensor, *args: Any, **kwargs: Any) -> Any:
            rows.append(len(latents))
            if len(latents) == 4:
                raise MemoryError
            return denoiser(latents, *args, **kwargs)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    path = DevicePath(compiled=True)
    build = ModelBuilder(checkers, store=None, device="cpu", dtype="float32", path=path, buckets=(1, 2, 4, 8))

    model = build(manifest_of(tiny_dir), tmp_path, LoadWatch())

    assert rows == [1, 2, 4]
    kernels = [model.way_of(bucket, side, 32).kernels for bucket, side in ((2, 32), (4, 32), (2, 64), (None, 32))]
    assert kernels == ["compiled attention=auto", *["attention=auto"] * 3]


def test_small_calls_in_bfloat16_keep_their_weights_laid_out_and_row_by_row_their_bits(
    run: Run,
    make_order: MakeOrder,
    checkers: TrustedCheckers,
    tiny_dir: Path,
    manifest_of: Callable[[Path], ModelManifest],
    tiny_bf16: Model,
    tmp_path: Path,
) -> None:
    def built(dtype: str) -> Model:
        path = DevicePath(packed=True)
        build = ModelBuilder(checkers, store=None, device="cpu", dtype=dtype, path=path, buckets=(1, 2, 4))
        return build(manifest_of(tiny_dir), tmp_path / dtype, LoadWatch())

    model, exact = built("bfloat16"), built("float32")
    assert (model.fast_buckets, exact.fast_buckets) == ({1, 2}, frozenset())
    assert tiny_bf16.held_bytes < model.held_bytes < 2 * tiny_bf16.held_bytes  # the second layout is in the account
    order, other = (make_order(seed=seed, steps=4, guidance_scale=1.0, bucket=2) for seed in (3, 4))
    [alone] = run(order, model=model)
    _, mixed = run(other, order, at=(0, 1), model=model)
    [large] = run(make_order(seed=3, bucket=4), model=model)

    assert png(alone) == png(mixed)
    assert (receipt(alone).kernels, receipt(large).kernels) == ("packed attention=auto", "attention=auto")
    noise = [trials.denoise_once(model, call, 2) for call in (model.way.call, model.fast.call)]
    assert torch.allclose(*noise, atol=0.05, rtol=0.05)


def test_the_measured_number_of_threads_is_one_that_there_is() -> None:
    assert measured_threads(1) == 1
    assert measured_threads(2) in {1, 2}
