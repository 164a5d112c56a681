"""The only way out: over a random load with faults in every stage, what leaves is what was checked."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from inference.contract import ConceptScore, Event, Image, ImageOrder, Withheld
from inference.fleet import Model
from inference.safety.verdict import GuardedChecker, Verdict

SOURCES = Path(__file__).parents[2] / "inference"


class Unreliable:
    """A checker that counts what it passed and fails in every way it can."""

    sha256 = "0" * 64
    version = "1"
    concepts: tuple[str, ...] = ("thing",)

    def __init__(self, seed: int) -> None:
        self.passed = 0
        self._random = random.Random(seed)

    def check(self, images: list[PIL.Image.Image], margin: float) -> Any:
        match self._random.choice(["pass", "pass", "flag", "raise", "nan", "none", "short"]):
            case "pass":
                self.passed += 1
                return [Verdict((ConceptScore(concept="thing", score=-0.5),))]
            case "flag":
                return [Verdict((ConceptScore(concept="thing", score=0.5),))]
            case "raise":
                raise RuntimeError
            case "nan":
                return [Verdict((ConceptScore.model_construct(concept="thing", score=float("nan")),))]
            case "none":
                return None
            case _:
                return []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_image_leaves_without_a_pass(
    run: Callable[..., list[list[Event]]],
    make_order: Callable[..., ImageOrder],
    tiny_model: Model,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    import dataclasses

    from inference import decoding, engine

    chance = random.Random(seed)
    checker = Unreliable(seed)
    model = dataclasses.replace(tiny_model, checker=GuardedChecker(checker, timeout_seconds=5))
    denoise, decode = engine.denoise, decoding.decode

    def faulty_denoise(batch: list[Any]) -> Any:
        predictions = denoise(batch)
        if chance.random() < 0.1:
            predictions[0][...] = float("nan")
        return predictions

    def faulty_decode(model: Model, latents: Any) -> Any:
        pixels = decode(model, latents)
        match chance.randrange(8):
            case 0:
                raise RuntimeError
            case 1:
                return np.full_like(pixels, np.inf)
            case _:
                return pixels

    monkeypatch.setattr(engine, "denoise", faulty_denoise)
    monkeypatch.setattr(decoding, "decode", faulty_decode)
    orders = [make_order(seed=i, steps=chance.randint(1, 4), images=chance.randint(1, 3)) for i in range(12)]

    stories = run(*orders, at=tuple(chance.randrange(6) for _ in orders), model=model)

    released = sum(isinstance(event, Image) for events in stories for event in events)
    assert released == checker.passed
    for order, events in zip(orders, stories, strict=True):
        outcomes = [event for event in events if isinstance(event, Image | Withheld)]
        assert events[-1].type in {"done", "failed"}
        assert len(outcomes) == order.images or events[-1].type == "failed"


def test_images_are_constructed_in_one_place_only() -> None:
    places = {
        path.name
        for path in SOURCES.rglob("*.py")
        if path.parent.name != "contract"
        and re.search(r"(?<!case )(?<![\w.])(Image|Preview)\(", path.read_text("utf-8"))
    }

    assert places == {"release.py"}
