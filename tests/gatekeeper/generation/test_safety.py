from pathlib import Path

import pytest

from gatekeeper.generation import BrokenSafety, Safety
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.releases import Stage
from inference.contract import SldLevel

GOOD = (bundled_dir("policies") / "safety.toml").read_text()


def test_every_stage_has_a_level_read_once() -> None:
    safety = Safety.load()
    assert Safety.load() is safety
    for stage in (None, *Stage):
        level = safety.at(stage)
        assert level.lowest_sld is level.sld_level
        assert level.images_per_day > 0
    preview = safety.at(Stage.RESEARCH_PREVIEW)
    assert (preview.sld_level, preview.sld_must_act) == (SldLevel.STRONG, True)


def test_adjusted_safety_has_its_own_quota() -> None:
    adjusted = Safety.load().at(Stage.TRUSTED_TEST, is_adjusted=True)
    assert adjusted.images_per_day == 50
    assert adjusted.lowest_sld is SldLevel.OFF


def test_who_may_switch_steering_off_need_not_have_it_act_until_strikes_make_it() -> None:
    adjusted = Safety.load().at(Stage.RESEARCH_PREVIEW, is_adjusted=True)
    assert adjusted.sld_must_act is False
    assert adjusted.stricter(SldLevel.WEAK, 0.0).sld_must_act is True
    assert adjusted.stricter(SldLevel.OFF, 0.0).sld_must_act is False


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('checker = "required"', 'checker = "off"', "cannot be switched off"),
        ('sld_level = "medium"', 'sld_level = "gentle"', "gentle"),
        ("steps = 50", "steps = 1000", "steps is 1000"),
        ("steps = 50", "steps = true", "steps is True"),
        ("width = 1024", "width = 4096", "width is 4096"),
        ("images = 4", "images = -1", "images is -1"),
        ("margin = 0.0", "margin = nan", "margin is nan"),
        ("concurrency = 2", "", "concurrency"),
        ("concurrency = 2", "concurrency = 2\nconcurency = 3", "concurency"),
        ("[stage.open]", "[stage.moon]", "moon"),
        ("sld_must_act = false", "sld_must_act = 0", "sld_must_act is true or false"),
        ("image_checks = []", 'image_checks = "nudity"', "lists of names"),
        ("prompt_checks = []", 'prompt_checks = ["No Name"]', "prompt_checks"),
        ('rail = "medium"', 'rail = "gentle"', "gentle"),
        ("hard_rule = 10", "hard_rule = 1.5", "hard_rule must be a whole number"),
        ("hard_rule = 10", "hardrule = 10", "hard_rule, hardrule"),
        ("review_points = 30", "review_points = 0", "at least 1"),
        ("margin = 0.01\n\n[adjusted]", "margin = 3.0\n\n[adjusted]", "margin is 3.0"),
    ],
)
def test_level_that_cannot_be_enforced_is_refused_at_start(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    (tmp_path / "safety.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BrokenSafety, match=says) as broken:
        Safety.load(tmp_path)
    assert str(tmp_path) in str(broken.value)
