from typing import Any

import pytest

from gatekeeper.errors import Invalid
from gatekeeper.generation import MAX_SEED, OrderRequest, Safety
from gatekeeper.releases import Stage
from inference.contract import ImageOrder, Limits, Scheduler, SldLevel

LEVEL = Safety.load().at(Stage.GATED)


def parse(**values: Any) -> OrderRequest:
    return OrderRequest.parse({"prompt": "a cat"} | values, level=LEVEL)


def test_prompt_alone_is_an_order() -> None:
    request = parse()
    assert (request.images, request.sld_level, request.width, request.scheduler) == (1, LEVEL.sld_level, None, None)
    assert 0 <= request.seed <= MAX_SEED
    assert parse().seed != request.seed  # 1 in 4 billion


def test_numbers_may_come_as_text_from_a_form() -> None:
    request = parse(steps="30", guidance_scale="5.5", seed="0", images="2", width="64", height="", scheduler="euler_a")
    assert (request.steps, request.guidance_scale, request.seed, request.images) == (30, 5.5, 0, 2)
    assert (request.width, request.height, request.scheduler) == (64, None, Scheduler.EULER_A)


def test_names_of_diffusers_classes_are_understood() -> None:
    assert parse(scheduler="DPMSolverMultistepScheduler").scheduler is Scheduler.DPMPP_2M


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("prompt", None, "missing"),
        ("prompt", "  \n", "missing"),
        ("prompt", "x" * 10_000, "10,000 characters; at most 2,000"),
        ("prompt", "㌖" * 2_000, "12,000 characters when signs like ㎉ are written out; at most 2,000"),
        ("prompt", 7, "must be text, not int"),
        ("prompt", "\ud800", "no text"),
        ("prompt", "a\0b", "no text"),
        ("negative_prompt", "x" * 2_001, "2,001 characters"),
        ("negative_prompt", ["x"], "must be text, not list"),
        ("steps", 0, "steps is 0; it must be a whole number from 1 to 50"),
        ("steps", 10_000, "steps is 10000"),
        ("steps", -1, "steps is -1"),
        ("steps", 2.5, "steps is 2.5"),
        ("steps", True, "steps is True"),
        ("steps", "ten", "steps is 'ten'"),
        ("steps", "²", "steps is"),
        ("steps", "9" * 5_000, "steps is"),
        ("steps", [20], "steps is [20]"),
        ("width", 65, "width is 65; it must be a multiple of 8 from 8 to 1024"),
        ("width", 0, "width is 0"),
        ("height", 4_096, "height is 4096"),
        ("height", -64, "height is -64"),
        ("images", 0, "images is 0"),
        ("images", 5, "from 1 to 4"),
        ("guidance_scale", -0.1, "guidance_scale is -0.1"),
        ("guidance_scale", 31, "from 0 to 20"),
        ("guidance_scale", float("nan"), "guidance_scale is nan"),
        ("guidance_scale", float("inf"), "guidance_scale is inf"),
        ("guidance_scale", "1e999", "guidance_scale is"),
        ("guidance_scale", 10**400, "guidance_scale is"),
        ("guidance_scale", False, "guidance_scale is False"),
        ("seed", -1, "from 0 to 4294967295"),
        ("seed", 2**32, "seed is 4294967296"),
        ("scheduler", "magic", "must be one of ddim"),
        ("scheduler", 1, "scheduler is 1"),
        ("sld_level", "off", "here it can be medium, strong, max"),
        ("sld_level", "nonsense", "here it can be"),
        ("bucket", 5, "must be one of 1, 2, 3, 4, 6, 8, 16, 24"),
        ("safety_checker", False, "is not known here"),
        ("output_type", "latent", "is not known here"),
    ],
)
def test_bad_value_is_named_with_what_is_allowed(field: str, value: object, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(**{field: value})
    assert refused.value.status == 422
    assert list(refused.value.details["fields"]) == [field]
    assert says in refused.value.details["fields"][field]
    assert len(refused.value.message) < 300


def test_every_bad_value_is_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        parse(steps=0, images=9, width=3)
    assert set(refused.value.details["fields"]) == {"steps", "images", "width"}


def test_message_uses_the_name_the_caller_used() -> None:
    with pytest.raises(Invalid, match="num_inference_steps is 0") as refused:
        OrderRequest.parse({"prompt": "x", "steps": 0}, level=LEVEL, names={"steps": "num_inference_steps"})
    assert list(refused.value.details["fields"]) == ["num_inference_steps"]


def test_stricter_safety_is_always_welcome_and_weaker_needs_the_right() -> None:
    assert parse(sld_level="max").sld_level is SldLevel.MAX
    adjusted = Safety.load().at(Stage.GATED, is_adjusted=True)
    assert OrderRequest.parse({"prompt": "x", "sld_level": "off"}, level=adjusted).sld_level is SldLevel.OFF
    assert OrderRequest.parse({"prompt": "x"}, level=adjusted).sld_level is LEVEL.sld_level


def test_whatever_is_accepted_here_the_worker_accepts_too() -> None:
    request = parse(steps=LEVEL.steps, images=LEVEL.images, width=LEVEL.width, guidance_scale=LEVEL.guidance_scale)
    order = ImageOrder(
        id="x",
        model="0" * 64,
        prompt=request.prompt,
        steps=request.steps,
        images=request.images,
        width=request.width,
        guidance_scale=request.guidance_scale,
        seed=MAX_SEED,
        deadline_at="2030-01-01T00:00:00Z",
        person_key="x",
    )
    assert Limits().problems(order) == ()


def test_each_image_can_be_made_again_with_its_own_seed() -> None:
    assert OrderRequest.parse({"prompt": "a", "images": 2, "seed": MAX_SEED - 1}, level=LEVEL).seed == MAX_SEED - 1
    with pytest.raises(Invalid, match=f"at most {MAX_SEED - 1}"):
        OrderRequest.parse({"prompt": "a", "images": 2, "seed": MAX_SEED}, level=LEVEL)


def test_a_refusal_of_many_unknown_fields_names_some() -> None:
    with pytest.raises(Invalid) as refused:
        OrderRequest.parse({"prompt": "a"} | {f"wish{number}": 1 for number in range(1_000)}, level=LEVEL)
    assert len(refused.value.details["fields"]) == 10
