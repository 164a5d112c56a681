"""The image check: scores as the known checker computes them, and no image without a sound verdict."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from inference.building import ModelBuilder
from inference.contract import (
    ConceptScore,
    Event,
    Image,
    ImageOrder,
    ModelManifest,
    Preview,
    SafetyDemand,
    Withheld,
    WithheldCode,
)
from inference.emoji import weights_dir
from inference.fleet import LoadWatch, Model
from inference.safety.checker import ConceptChecker
from inference.safety.trusted import MODELS, TrustedCheckers, models_of, read_checker, trusted_checkers
from inference.safety.verdict import CheckerError, GuardedChecker, Verdict

Run = Callable[..., list[list[Event]]]


def pictures(count: int) -> list[PIL.Image.Image]:
    random = np.random.default_rng(0)
    return [PIL.Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.fixture
def checker(tiny_dir: Path) -> ConceptChecker:
    return read_checker(tiny_dir / "safety_checker")


class Told:
    """A checker that answers what it was told, whatever it is."""

    sha256 = "0" * 64
    version = "1"
    concepts: tuple[str, ...] = ("thing",)

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def check(self, images: list[PIL.Image.Image], margin: float) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        if isinstance(self.answer, float):
            time.sleep(self.answer)
        return self.answer


def score(value: float) -> Verdict:
    return Verdict((ConceptScore.model_construct(concept="thing", score=value),))


SABOTAGE: dict[str, Any] = {
    "raises": RuntimeError("broken"),
    "runs out of memory": MemoryError(),
    "gives None": None,
    "gives no verdicts": [],
    "gives too many verdicts": [score(-1.0), score(-1.0)],
    "gives None for an image": [None],
    "gives NaN": [score(float("nan"))],
    "gives minus infinity": [score(float("-inf"))],
    "gives no scores": [Verdict(())],
    "gives too few scores": [Verdict(())],
    "takes too long": 1.0,
}


@pytest.mark.parametrize("answer", SABOTAGE.values(), ids=SABOTAGE.keys())
def test_without_a_sound_verdict_nothing_is_released(
    run: Run, make_order: Callable[..., ImageOrder], tiny_model: Model, answer: Any
) -> None:
    import dataclasses

    model = dataclasses.replace(tiny_model, checker=GuardedChecker(Told(answer), timeout_seconds=0.3))

    [events] = run(make_order(steps=1), model=model)

    assert not [event for event in events if isinstance(event, Image)]
    [withheld] = [event for event in events if isinstance(event, Withheld)]
    assert withheld.code is WithheldCode.IMAGE_UNCHECKED
    assert events[-1].type == "done"


def test_an_image_of_nan_is_not_released(
    run: Run, make_order: Callable[..., ImageOrder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "inference.decoding.decode", lambda model, latents: np.full((1, 3, 32, 32), np.nan, dtype=np.float32)
    )

    [events] = run(make_order(steps=1))

    assert [event.type for event in events][-2:] == ["withheld", "done"]


def test_a_flagged_image_is_withheld_with_its_scores_and_the_others_go_on(
    run: Run, make_order: Callable[..., ImageOrder], tiny_model: Model
) -> None:
    import dataclasses

    class Second(Told):
        calls = 0

        def check(self, images: list[PIL.Image.Image], margin: float) -> Any:
            self.calls += 1
            return [score(0.2 if self.calls == 2 else -0.2)]

    model = dataclasses.replace(tiny_model, checker=GuardedChecker(Second(None), timeout_seconds=5))

    [events] = run(make_order(steps=1, images=3), model=model)

    [withheld] = [event for event in events if isinstance(event, Withheld)]
    assert withheld.code is WithheldCode.IMAGE_FLAGGED
    assert withheld.receipt.scores == (ConceptScore(concept="thing", score=0.2),)
    assert len([event for event in events if isinstance(event, Image)]) == 2


def test_no_image_of_an_order_that_waives_rules_leaves_the_worker(
    run: Run, make_order: Callable[..., ImageOrder]
) -> None:
    behind = SafetyDemand(sld_level="off", waived_rules=("a-rule",))

    [events] = run(make_order(steps=4, images=2, previews=2, safety=behind))

    said = [event for event in events if isinstance(event, Withheld)]
    assert [event.code for event in said] == [WithheldCode.IMAGE_MEASURED] * 2
    assert all(event.receipt.checks for event in said)
    assert not [event for event in events if isinstance(event, Image | Preview)]


def test_a_margin_makes_the_check_stricter(run: Run, make_order: Callable[..., ImageOrder]) -> None:
    [lenient] = run(make_order(steps=1))
    highest = max(s.score for e in lenient if isinstance(e, Image) for s in e.receipt.scores)

    [strict] = run(make_order(steps=1, safety=SafetyDemand(sld_level="off", margin=min(1.0, 0.01 - highest))))

    assert any(isinstance(event, Withheld) for event in strict)


def test_scores_are_those_of_diffusers_own_forward(checker: ConceptChecker) -> None:
    module = checker._module
    module.concept_embeds_weights.fill_(-0.1)
    images = pictures(4)
    pixels = checker._processor(images, return_tensors="pt").pixel_values

    verdicts = checker.check(images, 0.0)
    _, flags = module(pixels, [np.asarray(image) for image in images])

    assert [bool(verdict.flagged) for verdict in verdicts] == flags
    cosine = torch.nn.functional.cosine_similarity(
        module.visual_projection(module.vision_model(pixels)[1])[0], module.concept_embeds
    )
    assert verdicts[0].scores[3].score == pytest.approx(float(cosine[3]) + 0.1, abs=0.0011)
    assert verdicts[0].scores[3].concept == "thing 3"


def test_special_care_makes_concepts_stricter_and_flags_nothing_itself(checker: ConceptChecker) -> None:
    before = checker.check(pictures(1), 0.0)[0]
    checker._module.special_care_embeds_weights.fill_(-1.0)

    after = checker.check(pictures(1), 0.0)[0]

    assert not after.flagged
    assert after.scores[0].score == pytest.approx(before.scores[0].score + 0.01, abs=0.0011)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concept_embeds", 1.0),
        ("concept_embeds_weights", 1.0),
        ("concept_embeds_weights", 9.0),
        ("concept_embeds", float("nan")),
        ("special_care_embeds", float("inf")),
    ],
)
def test_a_checker_that_could_never_fire_is_not_accepted(checker: ConceptChecker, name: str, value: float) -> None:
    getattr(checker._module, name).fill_(value)

    with pytest.raises(CheckerError):
        ConceptChecker(checker._module, checker._processor, sha256=checker.sha256, concepts=checker.concepts)


def test_weights_that_turn_into_nan_later_give_no_verdict(checker: ConceptChecker) -> None:
    checker._module.visual_projection.weight.fill_(float("nan"))

    with pytest.raises(CheckerError):
        GuardedChecker(checker, timeout_seconds=20).check(pictures(1), 0.0)


def test_the_servers_copy_is_attached_by_digest(
    tiny_dir: Path, manifest_of: Callable[..., ModelManifest], checkers: TrustedCheckers
) -> None:
    manifest = manifest_of(tiny_dir)

    attached = checkers.attach(manifest, ())

    assert attached is not None
    assert attached.sha256 in {file.sha256 for file in manifest.files}


def test_a_model_that_names_no_trusted_checker_gets_the_default_or_none(
    tiny_dir: Path, manifest_of: Callable[..., ModelManifest], checkers: TrustedCheckers
) -> None:
    manifest = manifest_of(tiny_dir)
    stranger = manifest.model_copy(
        update={"files": tuple(f for f in manifest.files if not f.path.startswith("safety_checker/"))}
    )
    sha256 = read_checker(tiny_dir / "safety_checker").sha256

    with_default = trusted_checkers((tiny_dir / "safety_checker",), default=sha256, timeout_seconds=1)

    assert checkers.attach(stranger, ()) is None
    attached = with_default.attach(stranger, ())
    assert attached is not None
    assert attached.sha256 == sha256


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_a_checker_that_was_made_for_a_model_is_none_for_another_that_names_it(
    tiny_dir: Path, manifest_of: Callable[..., ModelManifest], tmp_path: Path, part: str
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for copy in (own, other):
        shutil.copytree(tiny_dir, copy)
    [weights] = (other / part).glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    files = [file for file in manifest_of(own).files if file.path.endswith(".safetensors")]
    digests = [file.sha256 for file in files if not file.path.startswith("safety_checker/")]
    (own / "safety_checker" / MODELS).write_text(json.dumps({"weights_sha256": digests}))
    checkers = trusted_checkers((own / "safety_checker",), default=None, timeout_seconds=20)

    def built(directory: Path) -> Model:
        work = tmp_path / f"{directory.name}-work"
        return ModelBuilder(checkers, store=None, device="cpu", dtype="float32")(
            manifest_of(directory), work, LoadWatch()
        )

    assert built(own).checker is not None
    assert built(other).checker is None


@pytest.mark.parametrize("listed", ["", "{}", "[]", '{"weights_sha256": []}', '{"weights_sha256": ["*"]}'])
def test_a_list_of_models_that_cannot_be_read_stops_the_start(tiny_dir: Path, tmp_path: Path, listed: str) -> None:
    shutil.copytree(tiny_dir, tmp_path / "own")
    (tmp_path / "own" / "safety_checker" / MODELS).write_text(listed)

    with pytest.raises(CheckerError, match=MODELS):
        trusted_checkers((tmp_path / "own" / "safety_checker",), default=None, timeout_seconds=1)


def test_the_bundled_checker_is_the_bundled_models_alone() -> None:
    parts = [file for file in weights_dir().glob("*/*.safetensors") if file.parent.name != "safety_checker"]
    assert len(parts) == 3
    digests = {hashlib.sha256(part.read_bytes()).hexdigest() for part in parts}
    assert models_of(weights_dir() / "safety_checker") == digests


def test_a_default_that_is_not_trusted_stops_the_start(tiny_dir: Path) -> None:
    with pytest.raises(CheckerError, match="DEFAULT_CHECKER"):
        trusted_checkers((tiny_dir / "safety_checker",), default="0" * 64, timeout_seconds=1)


def test_a_directory_without_a_checker_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CheckerError, match="no safetensors"):
        trusted_checkers((tmp_path,), default=None, timeout_seconds=1)
