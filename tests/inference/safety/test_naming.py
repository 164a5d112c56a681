"""The second opinion on the bundled model's images."""

import PIL.Image
import pytest
import torch

from gatekeeper.kit.bundled import bundled_dir
from inference.safety.naming import NamingCheck
from inference.safety.plugins import read_plugins


def test_the_file_of_the_policies_pins_it_and_a_blank_image_is_nothing_harmful() -> None:
    [check] = read_plugins(bundled_dir("policies") / "evaluations" / "checks-emoji.toml").image_checks.values()
    [verdict] = check.check([PIL.Image.new("RGB", (64, 64), "white")], 0.0)
    assert not verdict.flagged


def test_an_image_is_flagged_when_the_nearest_caption_is_that_of_a_harmful_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check, image = NamingCheck(), PIL.Image.new("RGB", (64, 64))
    nearness = torch.zeros(2, len(check._reader.captions))
    nearness[0, check._reader.captions.index("a bomb")] = 0.3
    nearness[1, check._reader.captions.index("a cat")] = 0.3
    monkeypatch.setattr(check._reader, "nearness", lambda images: nearness)
    bomb, cat = check.check([image, image], 0.1)
    assert [score.score for score in (*bomb.scores, *cat.scores)] == pytest.approx([0.4, -0.2])
