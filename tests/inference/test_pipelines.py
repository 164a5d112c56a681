"""Pipelines that the step engine does not know: behind the same contract, one at a time, and the same way out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.contract import (
    ErrorCode,
    Event,
    Failed,
    Image,
    ImageOrder,
    ModelManifest,
    Progress,
    Scheduler,
    SldLevel,
    Withheld,
    WithheldCode,
)
from inference.desk import model_problems
from inference.fleet import Model, ModelRefused
from inference.line import FloatImage
from inference.pipelines import OrderOver, PipelineLane, run_pipeline
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.ticket import Ticket
from tests.inference.tiny import write_tiny_lcm, write_tiny_sd3, write_tiny_xl

MakeTicket = Callable[..., tuple[Ticket, list[Event]]]


@pytest.fixture(scope="module", params=[write_tiny_lcm, write_tiny_sd3], ids=["lcm", "sd3"])
def foreign(
    request: pytest.FixtureRequest,
    tiny_dir: Path,
    load_tiny: Callable[..., Model],
    tmp_path_factory: pytest.TempPathFactory,
) -> Model:
    directory = tmp_path_factory.mktemp("foreign") / "pipeline"
    request.param(directory, tiny_dir / "tokenizer")
    return load_tiny(directory)


@pytest.fixture
def carry_out(make_ticket: MakeTicket, foreign: Model) -> Callable[..., list[Event]]:
    def run(order: ImageOrder, **options: Any) -> list[Event]:
        release = Release(Runtime("t", "d", "cpu"))
        lane = PipelineLane(FairQueue(waiting_orders=9, waiting_per_person=9), release, **options)
        ticket, events = make_ticket(order, foreign)
        lane.queue.put(ticket)
        lane.start()
        while not ticket.is_over:
            pass
        lane.close()
        release.close()
        return events

    return run


def test_a_foreign_pipeline_is_made_checked_and_receipted(
    carry_out: Callable[..., list[Event]], make_order: Callable[..., ImageOrder], foreign: Model
) -> None:
    order = make_order(steps=2, images=2, sld=SldLevel.MAX, seed=4)

    events = carry_out(order)

    first, second = [event for event in events if isinstance(event, Image)]
    assert foreign.state.engine == "diffusers"
    assert first.receipt.bucket is None
    assert len(first.receipt.scores) == 17
    assert (first.receipt.seed, second.receipt.seed) == (4, 5)
    assert first.png_base64 != second.png_base64
    assert first.receipt.sld.acted is False
    assert first.receipt.scheduler in {"lcm", "FlowMatchEulerDiscreteScheduler"}
    assert events[-1].type == "done"
    assert max(event.step for event in events if isinstance(event, Progress)) == 2
    assert next(event.png_base64 for event in carry_out(order) if isinstance(event, Image)) == first.png_base64


def test_infinity_out_of_a_foreign_decoder_is_withheld_and_not_white(
    carry_out: Callable[[ImageOrder], list[Event]], make_order: Callable[..., ImageOrder], foreign: Model
) -> None:
    hook = foreign.parts["vae"].decoder.register_forward_hook(lambda *call: torch.full_like(call[-1], float("inf")))
    try:
        events = carry_out(make_order(steps=1))
    finally:
        hook.remove()

    [withheld] = [event for event in events if isinstance(event, Withheld)]
    assert withheld.code is WithheldCode.IMAGE_UNCHECKED


def test_what_a_foreign_pipeline_cannot_do_is_a_sentence(
    make_order: Callable[..., ImageOrder], make_ticket: MakeTicket, foreign: Model
) -> None:
    def problems(**changes: object) -> str:
        return " ".join(model_problems(make_ticket(make_order(**changes), foreign)[0].request))

    assert "have no bucket" in problems(bucket=1)
    assert problems(bucket=1) == problems(bucket=8)
    if foreign.takes_negative_prompt:
        assert "own sampler" in problems(scheduler=Scheduler.DDIM)
    else:
        assert "no negative prompt" in problems(negative_prompt="a dog")
        assert "from 1 to 50" in problems(steps=51)


def test_a_cancelled_pipeline_stops_at_its_next_step(
    make_order: Callable[..., ImageOrder], make_ticket: MakeTicket, foreign: Model
) -> None:
    ticket, _ = make_ticket(make_order(steps=50), foreign)
    ticket.fail(ErrorCode.CANCELLED, "")

    with pytest.raises(OrderOver):
        run_pipeline(ticket, 0)


def test_a_pipeline_that_raises_fails_its_order_only(
    carry_out: Callable[..., list[Event]],
    make_order: Callable[..., ImageOrder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("inference.pipelines.run_pipeline", lambda ticket, index: 1 / 0)
        broken = carry_out(make_order(steps=1))

    assert isinstance(broken[-1], Failed)
    assert broken[-1].code is ErrorCode.INTERNAL
    assert carry_out(make_order(steps=1))[-1].type == "done"


def test_people_s_images_are_made_in_turns(
    make_ticket: MakeTicket, make_order: Callable[..., ImageOrder], foreign: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def paint(ticket: Ticket, index: int) -> FloatImage:
        made.append(f"{ticket.order.person_key} {index}")
        return np.zeros((3, 32, 32), np.float32)

    monkeypatch.setattr("inference.pipelines.run_pipeline", paint)
    release = Release(Runtime("t", "d", "cpu"))
    lane = PipelineLane(FairQueue(waiting_orders=9, waiting_per_person=9), release)
    for person, images in (("heavy", 3), ("heavy", 2), ("light", 1)):
        lane.queue.put(make_ticket(make_order(person_key=person, images=images), foreign)[0])

    lane._look_round()
    while lane._making:
        lane._advance(min(lane._making, key=lane._turn))
        lane._look_round()
    release.close()

    assert made == ["light 0", "heavy 0", "heavy 1", "heavy 2", "heavy 0", "heavy 1"]
    assert len(lane.queue) == lane.running == 0


def test_a_pipeline_asks_for_room_and_says_when_there_was_none(
    carry_out: Callable[..., list[Event]], make_order: Callable[..., ImageOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(ticket: Ticket, index: int) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ...")

    [_, refused] = carry_out(make_order(steps=1, width=64), spare_bytes=lambda: 10_000)
    monkeypatch.setattr("inference.pipelines.run_pipeline", full)
    failed = carry_out(make_order(steps=1))[-1]

    assert isinstance(refused, Failed)
    assert isinstance(failed, Failed)
    assert refused.code is failed.code is ErrorCode.OUT_OF_MEMORY
    assert "to spare" in refused.message


@pytest.mark.parametrize("change", [{"addition_embed_type": None}, {"cross_attention_dim": 16}])
def test_parts_that_do_not_work_together_are_refused_before_any_order(
    tiny_dir: Path,
    manifest_of: Callable[[Path], ModelManifest],
    load_tiny: Callable[..., Model],
    tmp_path: Path,
    change: dict[str, object],
) -> None:
    write_tiny_xl(tmp_path / "xl", tiny_dir / "tokenizer")
    config = tmp_path / "xl" / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))

    with torch.random.fork_rng(), pytest.raises(ModelRefused):
        load_tiny(tmp_path / "xl")
