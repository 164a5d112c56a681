"""Safe Latent Diffusion against diffusers' deprecated pipeline as oracle, and its laws."""

import io
from collections.abc import Callable

import numpy as np
import PIL.Image
import pytest
import torch
from diffusers.pipelines.deprecated.stable_diffusion_safe import StableDiffusionPipelineSafe

from inference.contract import Event, Image, ImageOrder, Scheduler, SldLevel
from inference.decoding import decode
from inference.fleet import Model
from inference.safety.guidance import classifier_free, safe_guidance
from inference.safety.levels import PARAMETERS, SAFETY_CONCEPT, can_act, facts
from inference.schedulers import make_scheduler

Run = Callable[..., list[list[Event]]]
STEPS = 8
SCHEDULERS = [Scheduler.DDIM, Scheduler.PNDM, Scheduler.EULER, Scheduler.EULER_A, Scheduler.DPMPP_2M]
LEVELS = [SldLevel.WEAK, SldLevel.MEDIUM, SldLevel.STRONG, SldLevel.MAX]


def receipt_of(events: list[Event]) -> Image:
    return next(event for event in events if isinstance(event, Image))


@pytest.mark.filterwarnings("ignore:.*decode_latents:FutureWarning")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_whole_run_agrees_with_diffusers_safe_pipeline(
    run: Run,
    make_order: Callable[..., ImageOrder],
    tiny_model: Model,
    monkeypatch: pytest.MonkeyPatch,
    scheduler: Scheduler,
    level: SldLevel,
) -> None:
    pipeline = StableDiffusionPipelineSafe(
        **tiny_model.parts,
        scheduler=make_scheduler(scheduler, tiny_model.scheduler_config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.safety_concept = SAFETY_CONCEPT
    level_parameters = PARAMETERS[level].scaled_to(STEPS)
    latents: list[torch.Tensor] = []
    original = decode
    monkeypatch.setattr(
        "inference.decoding.decode", lambda model, final: latents.append(final) or original(model, final)
    )

    [events] = run(make_order(scheduler=scheduler, sld=level, steps=STEPS, seed=3))
    expected = pipeline(
        "a cat",
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
        sld_warmup_steps=level_parameters.warmup_steps,
        sld_guidance_scale=level_parameters.guidance_scale,
        sld_threshold=level_parameters.threshold,
        sld_momentum_scale=level_parameters.momentum_scale,
        sld_mom_beta=level_parameters.momentum_beta,
    ).images[0]

    made = original(tiny_model, latents[0])[0].transpose(1, 2, 0).clip(0, 1)  # as theirs is
    assert np.abs(made - expected).max() < 1e-5
    picture = np.asarray(PIL.Image.open(io.BytesIO(receipt_of(events).png())), dtype=float) / 255
    assert np.abs(picture - expected).max() <= 1 / 255 + 1e-6


def test_stronger_levels_move_the_image_further(run: Run, make_order: Callable[..., ImageOrder]) -> None:
    def pixels(level: SldLevel) -> np.ndarray:  # type: ignore[type-arg]  # any numbers will do
        [events] = run(make_order(sld=level, steps=STEPS, bucket=3))
        return np.asarray(PIL.Image.open(io.BytesIO(receipt_of(events).png())), dtype=float)

    plain = pixels(SldLevel.OFF)

    assert np.abs(pixels(SldLevel.MAX) - plain).mean() > np.abs(pixels(SldLevel.MEDIUM) - plain).mean()


def test_before_the_warm_up_ends_only_the_momentum_changes() -> None:
    uncond, cond, concept = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    parameters = PARAMETERS[SldLevel.STRONG]

    guided = safe_guidance(uncond, cond, concept, None, step=0, guidance_scale=5.0, parameters=parameters)

    assert torch.equal(guided.noise, classifier_free(uncond, cond, 5.0))
    assert guided.momentum.abs().max() > 0


def test_where_the_prompt_is_far_from_the_concept_nothing_is_steered() -> None:
    uncond, concept = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    cond = torch.full_like(uncond, 2.0)

    guided = safe_guidance(
        uncond, cond, concept, None, step=40, guidance_scale=5.0, parameters=PARAMETERS[SldLevel.MAX]
    )

    assert torch.equal(guided.noise, classifier_free(uncond, cond, 5.0))


def test_warm_up_is_a_share_of_the_run() -> None:
    strong = PARAMETERS[SldLevel.STRONG]

    assert [strong.scaled_to(steps).warmup_steps for steps in (4, 8, 20, 50, 100)] == [1, 1, 3, 7, 14]


def test_the_receipt_says_when_it_could_not_act() -> None:
    assert not can_act(SldLevel.MAX, 1.0)
    assert facts(SldLevel.MAX, 1.0, 20).acted is False
    assert facts(SldLevel.OFF, 7.5, 20).acted is False
    assert facts(SldLevel.STRONG, 7.5, 20).warmup_steps == 3
    assert facts(SldLevel.STRONG, 7.5, 20).acted is True


@pytest.mark.parametrize(
    ("level", "scale", "steps", "words"),
    [
        (SldLevel.OFF, 7.5, 20, "off"),
        (SldLevel.MAX, 1.0, 20, "Guidance is off"),
        (SldLevel.MEDIUM, 7.5, 0, "warm-up"),
        (SldLevel.MEDIUM, 7.5, 20, ""),
    ],
)
def test_the_receipt_says_in_words_why_it_did_not_act(level: SldLevel, scale: float, steps: int, words: str) -> None:
    said = facts(level, scale, steps)

    assert words in said.reason
    assert said.acted is (said.reason == "")


def test_the_receipt_says_how_strongly_it_acted(run: Run, make_order: Callable[..., ImageOrder]) -> None:
    orders = [make_order(sld=level, seed=3) for level in (SldLevel.OFF, SldLevel.WEAK, SldLevel.MAX)]

    off, weak, strongest = [receipt_of(events).receipt.sld.effect for events in run(*orders)]

    assert off is None
    assert weak is not None
    assert strongest is not None
    assert 0 <= weak < strongest


@pytest.mark.parametrize("level", LEVELS)
def test_a_negative_prompt_never_draws_the_image_towards_itself(level: SldLevel) -> None:
    """Along what a negative prompt adds, the guided noise moves by 1 - scale < 0, whatever was steered before."""
    torch.manual_seed(0)
    cond, concept, neutral, negative = (torch.randn(1, 4, 8, 8) for _ in range(4))
    momentum, parameters, scale = torch.randn(1, 4, 8, 8), PARAMETERS[level], 7.5

    def guided(uncond: torch.Tensor) -> torch.Tensor:
        return safe_guidance(
            uncond, cond, concept, momentum, neutral=neutral, step=49, guidance_scale=scale, parameters=parameters
        ).noise

    torch.testing.assert_close(
        guided(neutral + negative) - guided(neutral), (1 - scale) * negative, rtol=1e-3, atol=1e-3
    )


def test_an_order_with_a_negative_prompt_and_steering_has_a_row_without_text(
    run: Run, make_order: Callable[..., ImageOrder]
) -> None:
    [events], [without] = (
        run(make_order(sld=SldLevel.STRONG, steps=STEPS, negative_prompt=negative)) for negative in ("a dog", "")
    )
    assert (receipt_of(events).receipt.bucket, receipt_of(without).receipt.bucket) == (4, 3)
    assert receipt_of(events).receipt.sld.acted
