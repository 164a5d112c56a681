"""Sets of prompts, samples of them, and what a safety report counts."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.evaluation import ImageState, PromptSet, StageSafety, read_prompts, safety
from gatekeeper.evaluation.promptsets import SafetyPrompt
from gatekeeper.evaluation.tables import EvaluationImage

OURS = Path(__file__).parents[3] / "policies" / "evaluations" / "prompts.toml"

I2P = (
    "prompt,categories,hard,inappropriate_percentage,sd_seed,sd_guidance_scale\n"
    '"a portrait, oil","violence, shocking",0,42.5,4294967296.0,7\n'
    "a landscape,hate,1,10.0,,\n"
    ",hate,1,10.0,1,7\n"
)


def test_the_table_of_i2p_is_read_with_its_seeds(tmp_path: Path) -> None:
    (tmp_path / "i2p.csv").write_text(I2P)

    read = read_prompts(tmp_path / "i2p.csv")

    assert read.prompts == (
        SafetyPrompt(0, "a portrait, oil", "harmful", "violence", seed=1, guidance_scale=7.0),
        SafetyPrompt(1, "a landscape", "harmful", "hate"),
    )
    assert (read.id, len(read.sha256)) == ("i2p", 64)
    first, *_, last = read.shots(settings(read, seeds=2))
    assert (first.seed, first.guidance_scale, last.seed, last.guidance_scale) == (1, 7.0, 1, 7.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version='1'\n[[group]]\nside='bad'\ncategory='c'\nprompts=['x']", "needs a side"),
        ("version='1'\n[[group]]\nside='harmful'\ncategory='c'\nprompts=[1]", "texts"),
        ("version='1'\n[[group]]\nside='harmful'\ncategory='c'\nprompts=['x']\nodd=1", "odd"),
        ("version='1'\n[[group]]\nside='harmful'\ncategory='c'\nprompts=['x']\nnegatives=['y', 'z']", "as many"),
        ("version='1'\ngroup=[]", "no prompts"),
        ("not toml [", "set.toml"),
    ],
)
def test_a_set_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "set.toml").write_text(text)

    with pytest.raises(ValueError, match=words):
        read_prompts(tmp_path / "set.toml")


def test_ours_is_a_set() -> None:
    ours = read_prompts(OURS)

    assert {prompt.side for prompt in ours.prompts} == {"harmful", "harmless"}
    assert len({prompt.script for prompt in ours.prompts}) >= 8
    assert len({(prompt.text, prompt.negative, prompt.language) for prompt in ours.prompts}) == len(ours.prompts)


def test_a_sample_holds_its_part_of_every_side_and_category_and_is_drawn_again_by_its_seed() -> None:
    ours = read_prompts(OURS)
    sample = ours.sample(100, seed=3)

    assert len(sample.prompts) == 100
    whole, drawn = (Counter((p.side, p.category) for p in each.prompts) for each in (ours, sample))
    assert all(abs(drawn[stratum] - whole[stratum] * 100 / len(ours.prompts)) <= 1 for stratum in whole)
    assert ours.sample(100, seed=3) == sample
    assert len({sample.sha256, ours.sha256, ours.sample(100, seed=4).sha256, ours.sample(99, seed=3).sha256}) == 4
    assert ours.sample(100, seed=4).prompts != sample.prompts
    assert ours.sample(10_000, seed=3) is ours


def test_a_safety_report_counts_each_side_check_and_level_apart() -> None:
    ours = PromptSet("few", "1", "a" * 64, "a" * 64, 5, tuple(
        SafetyPrompt(n, f"prompt {n}", "harmful" if n < 3 else "harmless", "c") for n in range(5)
    ))  # fmt: skip
    # Of each prompt, at "off" and at "max": what became of its image.
    made, withheld, refused = ImageState.MADE, ImageState.WITHHELD, ImageState.REFUSED
    ends = {
        "off": [(withheld, ["concepts"]), (withheld, ["concepts", "second"]), (refused, []), (made, []), (made, [])],
        "max": [(made, []), (withheld, ["second"]), (refused, []), (withheld, []), (made, [])],
    }
    plan = settings(ours, levels=("off", "max"), checks=("second",))
    images = [
        (shot, EvaluationImage(state=ends[shot.sld_level][shot.prompt.number][0],
                               flagged_by=ends[shot.sld_level][shot.prompt.number][1]))
        for shot in ours.shots(plan)
    ]  # fmt: skip
    body = safety.written(ours, images, plan, screened={4: ("a-rule",)}, rules_version="1", is_fake=False)

    def parts(rows: list[dict[str, Any]], of: str) -> dict[tuple[str, ...], tuple[int, int]]:
        return {(r["side"], r.get("check", "")): (r[of]["part"], r[of]["whole"]) for r in rows}

    off, most = body["levels"]
    every = [row for row in body["screen"] if row["group"] == "all"]
    assert parts(every, "refused") == {
        ("harmful", ""): (1, 3),
        ("harmless", ""): (1, 2),
    }  # 2 by a classifier, 4 by a rule
    assert parts(off["sights"], "flagged") == {
        ("harmful", "concepts"): (2, 2), ("harmful", "second"): (1, 2),
        ("harmless", "concepts"): (0, 2), ("harmless", "second"): (0, 2),
    }  # fmt: skip
    assert off["sights"][1]["agrees"]["part"] == 1
    assert parts(off["stopped"], "stopped") == {("harmful", ""): (3, 3), ("harmless", ""): (1, 2)}
    # An image without a verdict is counted apart, and never as a success.
    assert most["unchecked"] == 1
    assert parts(most["sights"], "flagged")[("harmless", "concepts")] == (0, 1)
    assert parts(most["stopped"], "stopped") == {("harmful", ""): (2, 3), ("harmless", ""): (1, 1)}
    figures = safety.figures_of(body)
    # A second opinion stops nothing: with it as such, only what the model's own check flagged at "off" was stopped.
    plan = settings(ours, levels=("off", "max"), further=("second",))
    images = [(shot, image) for shot, (_, image) in zip(ours.shots(plan), images, strict=True)]
    body = safety.written(ours, images, plan, screened={4: ("a-rule",)}, rules_version="1", is_fake=False)
    assert parts(body["levels"][0]["stopped"], "stopped")[("harmful", "")] == (3, 3)
    assert parts(body["levels"][1]["stopped"], "stopped")[("harmful", "")] == (1, 3)  # 2 by a rule
    assert body["levels"][1]["sights"] == most["sights"]
    assert (figures["harmful_flagged_off"]["value"], figures["second_harmful_flagged_max"]["value"]) == (1.0, 0.5)
    assert "prompt 1" not in str(body)


def test_ten_images_of_a_prompt_are_not_ten_prompts() -> None:
    ours = PromptSet("few", "1", "a" * 64, "a" * 64, 30, tuple(
        SafetyPrompt(n, f"prompt {n}", "harmful", "c") for n in range(30)
    ))  # fmt: skip

    def figures(seeds: int) -> dict[str, dict[str, float]]:
        plan = settings(ours, seeds=seeds)
        images = [(shot, _alike(shot.prompt.number)) for shot in ours.shots(plan)]
        body = safety.written(ours, images, plan, screened={0: ("a-rule",)}, rules_version="1", is_fake=False)
        return safety.figures_of(body)

    assert figures(10) == figures(1)
    assert figures(10)["harmful_flagged_off"]["high"] > 0.5


def _alike(number: int) -> EvaluationImage:
    """A third of the prompts is flagged, whatever the seed."""
    if number % 3:
        return EvaluationImage(state=ImageState.MADE, flagged_by=[])
    return EvaluationImage(state=ImageState.WITHHELD, flagged_by=["concepts"])


def settings(
    of: PromptSet,
    *,
    levels: tuple[str, ...] = ("off",),
    checks: tuple[str, ...] = (),
    further: tuple[str, ...] = (),
    seeds: int = 1,
) -> dict[str, Any]:
    safety = StageSafety("off", 0.0, checks, (), "d" * 64)
    return of.plan(safety, sld_levels=levels, further_checks=further, seeds=seeds)
