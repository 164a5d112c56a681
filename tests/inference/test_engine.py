"""The step engine: alone and mixed are the same bits; orders end once; nobody suffers for another."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from inference import decoding
from inference.contract import (
    Done,
    ErrorCode,
    Event,
    Failed,
    Image,
    ImageOrder,
    Preview,
    Progress,
    Scheduler,
    SldLevel,
    Started,
)
from inference.engine import Engine
from inference.fleet import Model
from inference.pipelines import assembled
from inference.release import Release, Runtime
from inference.schedulers import make_scheduler
from inference.texts import encode, tokenize
from inference.ticket import Ticket

Run = Callable[..., list[list[Event]]]
MakeOrder = Callable[..., ImageOrder]
MakeTicket = Callable[..., tuple[Ticket, list[Event]]]


def pixels(png_base64: str) -> np.ndarray:  # type: ignore[type-arg]  # any numbers will do
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(png_base64))), dtype=float)


def images(events: list[Event]) -> list[Image]:
    return [event for event in events if isinstance(event, Image)]


@pytest.fixture
def model(kind: str, request: pytest.FixtureRequest) -> Model:
    """What the engine knows: Stable Diffusion 1.x, 2.x (v-prediction) and XL, in float32 and in bfloat16."""
    name = {"1.x": "tiny_model", "2.x": "tiny_model", "xl": "tiny_xl", "bf16": "tiny_bf16", "xl bf16": "tiny_xl_bf16"}
    found: Model = request.getfixturevalue(name[kind])
    if kind == "2.x":
        return replace(found, scheduler_config={**found.scheduler_config, "prediction_type": "v_prediction"})
    return found


_SAMPLERS_OF_EACH_KIND = (Scheduler.EULER_A, Scheduler.DPMPP_2M, Scheduler.UNIPC)


@pytest.mark.parametrize(
    ("kind", "level", "avoided", "scheduler"),
    [
        (*case, scheduler)
        for case, schedulers in [
            (("1.x", SldLevel.OFF, ""), Scheduler),
            (("1.x", SldLevel.STRONG, ""), Scheduler),
            (("2.x", SldLevel.STRONG, "rain"), Scheduler),
            (("xl", SldLevel.STRONG, ""), Scheduler),
            (("bf16", SldLevel.STRONG, "rain"), _SAMPLERS_OF_EACH_KIND),
            (("xl bf16", SldLevel.STRONG, ""), _SAMPLERS_OF_EACH_KIND),
        ]
        for scheduler in schedulers
    ],
)
def test_an_image_is_the_same_bits_alone_and_among_others(
    run: Run, make_order: MakeOrder, model: Model, scheduler: Scheduler, level: SldLevel, avoided: str
) -> None:
    order = make_order(scheduler=scheduler, sld=level, negative_prompt=avoided, seed=7, steps=6, bucket=16)
    others = [
        make_order(prompt="a dog", seed=1, steps=9, bucket=16, guidance_scale=9.0),
        make_order(prompt="a bus", seed=2, steps=3, bucket=16, scheduler=Scheduler.EULER_A, sld=SldLevel.MAX),
        make_order(prompt="the sun", seed=3, steps=5, bucket=16, guidance_scale=1.0),
    ]

    [alone] = run(order, model=model)
    mixed, *_ = run(order, *others, at=(2, 0, 1, 3), model=model)

    assert images(alone)[0].png_base64 == images(mixed)[0].png_base64
    assert images(alone)[0].receipt == images(mixed)[0].receipt


@pytest.mark.parametrize("scheduler", list(Scheduler))
@pytest.mark.parametrize("kind", ["1.x", "2.x", "xl"])
def test_an_image_is_the_one_that_diffusers_makes(
    run: Run, make_order: MakeOrder, model: Model, scheduler: Scheduler
) -> None:
    negative = "a dog" if scheduler in {Scheduler.DDIM, Scheduler.EULER, Scheduler.LCM} else ""
    order = make_order(scheduler=scheduler, seed=11, steps=6, negative_prompt=negative)
    pipeline = assembled(model, make_scheduler(scheduler, model.scheduler_config))
    pipeline.set_progress_bar_config(disable=True)

    [events] = run(order, model=model)
    expected = pipeline(
        order.prompt,
        negative_prompt=order.negative_prompt or None,
        num_inference_steps=order.steps,
        guidance_scale=order.guidance_scale,
        generator=torch.Generator().manual_seed(11),
    ).images[0]

    made = PIL.Image.open(io.BytesIO(images(events)[0].png()))
    difference = np.asarray(made, dtype=int) - np.asarray(expected, dtype=int)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("scheduler", [Scheduler.EULER, Scheduler.DPMPP_2M])
@pytest.mark.parametrize("kind", ["1.x", "2.x"])
def test_previews_come_nearer_to_the_image(run: Run, make_order: MakeOrder, model: Model, scheduler: Scheduler) -> None:
    [events] = run(make_order(scheduler=scheduler, steps=12, previews=3), model=model)

    previews = [event for event in events if isinstance(event, Preview)]
    final = pixels(images(events)[0].png_base64)
    far, *_, near = [np.abs(pixels(preview.png_base64) - final).mean() for preview in previews]
    assert [preview.step for preview in previews] == [3, 6, 9]
    assert near < far


def test_images_that_end_together_are_decoded_together_only_where_that_changes_no_bit(
    run: Run, make_order: MakeOrder, tiny_model: Model
) -> None:
    calls: list[int] = []
    decode = tiny_model.parts["vae"].decode
    orders = [make_order(seed=seed, bucket=8) for seed in range(3)]

    def count(latents: torch.Tensor, **options: Any) -> Any:
        calls.append(len(latents))
        return decode(latents, **options)

    tiny_model.parts["vae"].decode = count
    try:
        run(*orders, model=replace(tiny_model, image_sizes=(2, 1)))
        run(*orders, model=replace(tiny_model, image_sizes=(1,)))
        run(*(make_order(width=48, bucket=8) for _ in range(2)), model=replace(tiny_model, image_sizes=(2, 1)))
    finally:
        del tiny_model.parts["vae"].decode

    assert calls == [2, 1, 1, 1, 1, 1, 1]


def test_an_image_whose_batch_cannot_be_decoded_is_decoded_alone(
    run: Run, make_order: MakeOrder, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = decoding.decoded

    def fail_together(vae: Any, latents: torch.Tensor) -> torch.Tensor:
        if len(latents) > 1:
            raise torch.OutOfMemoryError
        return original(vae, latents)

    monkeypatch.setattr(decoding, "decoded", fail_together)
    results = run(
        make_order(seed=1, bucket=8), make_order(seed=2, bucket=8), model=replace(tiny_model, image_sizes=(2, 1))
    )

    assert all(len(images(events)) == 1 for events in results)


@pytest.mark.parametrize("kind", ["1.x", "xl"])
def test_the_proven_sizes_change_no_bit_of_any_text(model: Model) -> None:
    prompts = [f"{'very ' * number}small cat" for number in range(8)]
    with torch.inference_mode():
        ids = tokenize(model, prompts)
        alone = [encode(model, ids[row : row + 1]).flat() for row in range(8)]
        for size in model.text_sizes:
            assert torch.equal(encode(model, ids[8 - size :]).flat(), torch.cat(alone[8 - size :]))


def test_texts_are_encoded_together_and_the_servers_own_only_once(
    run: Run, make_order: MakeOrder, tiny_model: Model
) -> None:
    calls: list[int] = []
    model = replace(tiny_model, memory={}, text_sizes=(4, 1))
    count = tiny_model.parts["text_encoder"].register_forward_pre_hook(
        lambda module, inputs: calls.append(len(inputs[0]))
    )
    try:
        run(*(make_order(prompt=prompt, sld=SldLevel.MAX) for prompt in ("one", "two")), model=model)
        run(make_order(prompt="three", sld=SldLevel.MAX), model=model)
    finally:
        count.remove()

    assert calls == [4, 1]  # "", the safety concept, "one" and "two"; then "three" alone


def test_a_lone_order_gets_a_bucket_without_spare_rows(run: Run, make_order: MakeOrder) -> None:
    buckets = [
        images(run(order)[0])[0].receipt.bucket
        for order in (
            make_order(guidance_scale=1.0),
            make_order(),
            make_order(sld=SldLevel.MEDIUM),
        )
    ]

    assert buckets == [1, 2, 3]


def test_a_crowd_shares_one_large_call(run: Run, make_order: MakeOrder, tiny_model: Model) -> None:
    calls: list[int] = []
    hook = tiny_model.parts["unet"].register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    try:
        results = run(*(make_order(seed=i, steps=3) for i in range(8)))
    finally:
        hook.remove()

    assert {images(events)[0].receipt.bucket for events in results} == {16}
    assert calls == [16, 16, 16]


def test_a_crowd_that_gathers_ends_up_in_one_call(run: Run, make_order: MakeOrder, tiny_model: Model) -> None:
    calls: list[int] = []
    hook = tiny_model.parts["unet"].register_forward_pre_hook(lambda module, inputs: calls.append(len(inputs[0])))
    try:
        results = run(*(make_order(seed=i, steps=12) for i in range(8)), at=tuple(range(8)))
    finally:
        hook.remove()
    [alone] = run(make_order(seed=0, steps=12, bucket=16))

    assert {images(events)[0].receipt.bucket for events in results} == {16}
    assert images(results[0])[0].png_base64 == images(alone)[0].png_base64  # it began again four times
    assert calls == [2, 4, 6, 8] + [16] * (12 + 3)  # the last came three steps after the largest call began


def test_an_image_that_is_on_its_way_does_not_begin_again(run: Run, make_order: MakeOrder) -> None:
    results = run(make_order(seed=0, steps=12), make_order(seed=1, steps=12), at=(0, 3))

    assert [images(events)[0].receipt.bucket for events in results] == [2, 2]


def test_steps_that_are_made_twice_are_charged_once(
    make_engine: Callable[..., Engine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    passed = iter(range(10**6))  # each look at the clock is a second later, so a call of one image takes one
    release = Release(Runtime("t", "d", "cpu"), clock=lambda: 0.0)  # checking takes no time
    engine = make_engine(clock=lambda: float(next(passed)), release=release)
    first, told = make_ticket(make_order(steps=9))
    engine.queue.put(first)
    engine.tick()
    engine.queue.put(make_ticket(make_order(steps=9))[0])
    while engine.tick():
        pass
    engine._release.close()

    [done] = [event for event in told if isinstance(event, Done)]
    assert done.compute_seconds == pytest.approx(9 / 2)


def test_a_crowd_that_stays_gathers_in_one_call(
    make_engine: Callable[..., Engine],
    make_order: MakeOrder,
    make_ticket: MakeTicket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inference import engine as module

    original, fillings = module.denoise, []

    def count(batch: list[Any]) -> list[torch.Tensor]:
        fillings.append((sum(sample.rows for sample in batch), batch[0].bucket))
        return original(batch)

    monkeypatch.setattr(module, "denoise", count)
    engine, in_hand = make_engine(), 0
    for tick in range(200):
        in_hand = len(engine._samples)
        if in_hand < 8:
            engine.queue.put(make_ticket(make_order(steps=9, person_key=f"p{tick}"))[0])
        engine.tick()

    late = fillings[100:]
    # When many images happen to end at once, the next one may begin in a small bucket of its own.
    assert sum(used for used, bucket in late if bucket == 16) / sum(used for used, _ in late) > 0.9
    assert sum(used for used, _ in late) / sum(bucket for _, bucket in late) > 0.8


def test_after_the_crowd_a_newcomer_gets_a_small_bucket(
    make_engine: Callable[..., Engine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    engine = make_engine()
    last, _ = make_ticket(make_order(steps=9, bucket=16))
    newcomer, _ = make_ticket(make_order(steps=9))
    engine.queue.put(last)
    engine.tick()

    engine.queue.put(newcomer)
    engine.tick()

    assert {sample.bucket for sample in engine._samples} == {16, 2}


def test_the_receipts_bucket_reproduces_an_image_of_a_crowd(run: Run, make_order: MakeOrder) -> None:
    crowd = run(*(make_order(seed=i) for i in range(4)))
    first = images(crowd[2])[0]

    [again] = run(make_order(seed=first.receipt.seed, bucket=first.receipt.bucket))

    assert images(again)[0].png_base64 == first.png_base64


def test_progress_is_told_by_tenths_and_after_a_while(
    make_ticket: Callable[..., tuple[Ticket, list[Event]]], make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket, events = make_ticket(make_order(steps=50))
    for step in range(1, 51):
        monkeypatch.setattr("inference.ticket.time.monotonic", lambda at=10 if step < 13 else 11: at)
        ticket.step(step, 50)
    assert [event.step for event in events if isinstance(event, Progress)] == [1, 5, 10, 13, *range(15, 51, 5)]


def test_each_image_of_an_order_can_be_made_again_alone(run: Run, make_order: MakeOrder) -> None:
    [events] = run(make_order(seed=5, images=3))
    third = next(image for image in images(events) if image.index == 2)

    [again] = run(make_order(seed=third.receipt.seed, bucket=third.receipt.bucket))

    assert third.receipt.seed == 7
    assert images(again)[0].png_base64 == third.png_base64


def test_events_tell_the_whole_story_in_order(run: Run, make_order: MakeOrder) -> None:
    [events] = run(make_order(steps=3))

    assert [event.type for event in events] == ["queued", "started", *["progress"] * 3, "image", "done"]
    assert [event.step for event in events if isinstance(event, Progress)] == [1, 2, 3]
    assert events[-1] == Done(delivered=1, withheld=0, compute_seconds=events[-1].compute_seconds)


def test_pndm_reports_the_steps_that_were_ordered(run: Run, make_order: MakeOrder) -> None:
    [events] = run(make_order(steps=4, scheduler=Scheduler.PNDM))

    steps = [event.step for event in events if isinstance(event, Progress)]
    assert steps[-1] == 4
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("scheduler", list(Scheduler))
def test_one_step_is_enough(run: Run, make_order: MakeOrder, scheduler: Scheduler) -> None:
    [events] = run(make_order(steps=1, scheduler=scheduler))

    assert len(images(events)) == 1


def test_a_cancelled_order_takes_no_further_step(
    make_engine: Callable[..., Engine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    engine = make_engine()
    ticket, events = make_ticket(make_order(steps=20))
    engine.queue.put(ticket)
    engine.tick()

    ticket.fail(ErrorCode.CANCELLED, "The order was cancelled.")

    assert engine.tick() is False
    assert events[-1].type == "failed"
    assert not images(events)


def test_an_order_past_its_deadline_fails_and_frees_its_rows(
    make_engine: Callable[..., Engine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    engine = make_engine()
    ticket, events = make_ticket(make_order(steps=20, deadline_at=datetime.now(UTC) + timedelta(milliseconds=30)))
    engine.queue.put(ticket)
    engine.tick()
    while not ticket.is_late:
        pass

    assert engine.tick() is False
    assert isinstance(events[-1], Failed)
    assert events[-1].code is ErrorCode.DEADLINE_PASSED


def test_a_poisoned_order_fails_alone(run: Run, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy, poisoned = make_order(seed=1, bucket=8), make_order(seed=2, bucket=8, guidance_scale=29.5)
    from inference import engine as module

    original = module.denoise

    def poison(batch: list[Any]) -> list[torch.Tensor]:
        predictions = original(batch)
        for sample, prediction in zip(batch, predictions, strict=True):
            if sample.ticket.order.id == poisoned.id and sample.step == 2:
                prediction[0, 0, 0, 0] = float("nan")
        return predictions

    [expected] = run(healthy)
    monkeypatch.setattr(module, "denoise", poison)
    first, second = run(healthy, poisoned)

    assert images(first)[0].png_base64 == images(expected)[0].png_base64
    assert isinstance(second[-1], Failed)
    assert second[-1].code is ErrorCode.NOT_FINITE


def test_a_call_that_raises_is_taken_apart_to_find_the_culprit(
    run: Run, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy, culprit = make_order(seed=1, bucket=8), make_order(seed=2, bucket=8)
    from inference import engine as module

    original = module.denoise

    def explode(batch: list[Any]) -> list[torch.Tensor]:
        if any(sample.ticket.order.id == culprit.id for sample in batch):
            raise torch.OutOfMemoryError
        return original(batch)

    [expected] = run(healthy)
    monkeypatch.setattr(module, "denoise", explode)
    first, second = run(healthy, culprit)

    assert images(first)[0].png_base64 == images(expected)[0].png_base64
    assert isinstance(second[-1], Failed)
    assert second[-1].code is ErrorCode.OUT_OF_MEMORY


def test_running_out_of_memory_splits_the_bucket_and_goes_on(
    run: Run, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference import engine as module

    original = module.denoise
    orders = [make_order(seed=seed, steps=6) for seed in range(4)]

    def small_machine(batch: list[Any]) -> list[torch.Tensor]:
        if batch[0].bucket > 4 and any(sample.step > 2 for sample in batch):
            raise torch.OutOfMemoryError
        return original(batch)

    [expected] = run(make_order(seed=0, steps=6, bucket=4))
    monkeypatch.setattr(module, "denoise", small_machine)
    results = run(*orders)

    assert {images(events)[0].receipt.bucket for events in results} == {4}
    assert images(results[0])[0].png_base64 == images(expected)[0].png_base64  # as if it had begun there


def test_an_image_that_finds_no_memory_to_begin_again_fails_alone(
    run: Run, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference import engine as module

    denoise, begin_again = module.denoise, module.begin_again
    orders = [make_order(seed=seed, steps=2, bucket=None) for seed in range(4)]

    def small_machine(batch: list[Any]) -> list[torch.Tensor]:
        if batch[0].bucket > 4:
            raise torch.OutOfMemoryError
        return denoise(batch)

    def begin_most(samples: list[Any], bucket: int) -> list[Any]:
        if samples[0].ticket.order.id == orders[1].id:
            raise torch.OutOfMemoryError
        return begin_again(samples, bucket)

    monkeypatch.setattr(module, "denoise", small_machine)
    monkeypatch.setattr(module, "begin_again", begin_most)
    results = run(*orders)

    assert [len(images(events)) for events in results] == [1, 0, 1, 1]
    assert isinstance(results[1][-1], Failed)
    assert results[1][-1].code is ErrorCode.OUT_OF_MEMORY


def test_a_bucket_is_chosen_that_the_memory_can_hold(
    make_engine: Callable[..., Engine], make_order: MakeOrder, run: Run, tiny_model: Model
) -> None:
    engine = make_engine(spare_bytes=lambda: tiny_model.call_bytes(6, 32, 32))

    results = run(*(make_order(seed=i, steps=1) for i in range(8)), engine=engine)

    assert {images(events)[0].receipt.bucket for events in results} == {6}


def test_an_order_that_cannot_fit_is_told_so_before_any_work(
    make_engine: Callable[..., Engine], make_order: MakeOrder, run: Run, tiny_model: Model
) -> None:
    engine = make_engine(spare_bytes=lambda: tiny_model.call_bytes(3, 32, 32))

    small, large = run(make_order(steps=1), make_order(steps=1, width=512, height=512), engine=engine)

    assert len(images(small)) == 1
    assert isinstance(large[-1], Failed)
    assert large[-1].code is ErrorCode.OUT_OF_MEMORY
    assert "smaller size" in large[-1].message


def test_a_newcomer_for_whom_memory_is_short_ends_no_order_that_is_in_the_making(
    make_engine: Callable[..., Engine], make_order: MakeOrder, make_ticket: MakeTicket, tiny_model: Model
) -> None:
    spare = [tiny_model.call_bytes(24, 32, 32)]
    engine = make_engine(spare_bytes=lambda: spare[0])
    (first, events), (second, refused) = (
        make_ticket(make_order(person_key=person, steps=20)) for person in ("first", "second")
    )
    engine.queue.put(first)
    engine.tick()

    spare[0] = 0  # another model is being loaded
    engine.queue.put(second)
    while engine.tick():
        pass
    engine._release.close()

    assert len(images(events)) == 1
    assert isinstance(refused[-1], Failed)
    assert refused[-1].code is ErrorCode.OUT_OF_MEMORY
    assert all(person.left_at is not None for person in engine._shares._persons.values())


def test_orders_beyond_the_rows_wait_their_turn(
    make_engine: Callable[..., Engine], make_order: MakeOrder, make_ticket: MakeTicket
) -> None:
    engine = make_engine(max_rows=4)
    pairs = [make_ticket(make_order(steps=2, person_key=f"p{i}")) for i in range(3)]
    for ticket, _ in pairs:
        engine.queue.put(ticket)

    engine.tick()

    assert [any(isinstance(event, Started) for event in events) for _, events in pairs] == [True, True, False]


def test_sizes_other_than_the_models_own_are_made(run: Run, make_order: MakeOrder) -> None:
    [events] = run(make_order(width=48, height=24))

    picture = PIL.Image.open(io.BytesIO(images(events)[0].png()))
    assert picture.size == (48, 24)
