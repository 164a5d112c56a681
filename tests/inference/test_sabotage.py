"""No byte leaves unchecked: sabotaged checks, a random load with faults in every stage, a user's own parameters."""

import base64
import dataclasses
import hashlib
import inspect
import io
import random
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import PIL.Image
import pytest
import torch

from gatekeeper.errors import Invalid
from gatekeeper.generation.orders import OrderRequest
from gatekeeper.generation.safety import Safety
from inference.contract import (
    TERMINAL,
    ConceptScore,
    ErrorCode,
    Event,
    Image,
    ImageOrder,
    Limits,
    Preview,
    SafetyDemand,
    SldLevel,
    Withheld,
    WithheldCode,
)
from inference.desk import Desk, OrderProblem, Seals
from inference.engine import Engine
from inference.fleet import Model
from inference.indexes import PIPELINES
from inference.pipelines import PipelineLane, assembled
from inference.queue import FairQueue
from inference.release import Release, Runtime
from inference.safety.classifier import GuardedClassifier
from inference.safety.plugins import Plugins
from inference.safety.prompts import read_rules
from inference.safety.verdict import GuardedChecker, Verdict
from tests.inference.tiny import write_tiny_lcm

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n")[:10].decode()  # how every PNG file begins on the wire


def verdict(score: float) -> Verdict:
    return Verdict((ConceptScore.model_construct(concept="thing", score=score),))


class Check:
    """Passes images and remembers which; `answer` spoils what it says."""

    version = "1"
    concepts: tuple[str, ...] = ("thing",)

    def __init__(self, answer: Callable[[list[Verdict]], Any] = lambda good: good) -> None:
        self.sha256 = "0" * 64
        self.passed: Counter[str] = Counter()
        self._answer = answer

    def check(self, images: list[PIL.Image.Image], margin: float) -> Any:
        good = [verdict(-0.5)]
        said = self._answer(good)
        if said is good:
            self.passed.update(digest_of(image) for image in images)
        return said


def digest_of(image: PIL.Image.Image) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


WHITE = digest_of(PIL.Image.new("RGB", (32, 32), "white"))


def raises(good: list[Verdict]) -> Any:
    raise RuntimeError


SABOTAGE: dict[str, Callable[[list[Verdict]], Any]] = {
    "raises": raises,
    "gives None": lambda good: None,
    "gives None for the image": lambda good: [None],
    "gives flags instead of verdicts": lambda good: [False],
    "gives fewer verdicts": lambda good: [],
    "gives more verdicts": lambda good: good * 2,
    "gives no scores": lambda good: [Verdict(())],
    "gives NaN": lambda good: [verdict(float("nan"))],
    "gives minus infinity": lambda good: [verdict(float("-inf"))],
    "gives text": lambda good: "clean",
}


@pytest.mark.parametrize("answer", SABOTAGE.values(), ids=SABOTAGE.keys())
@pytest.mark.parametrize("place", ["own", "second"])
def test_a_sabotaged_check_releases_nothing_and_the_receipt_keeps_what_was_said(
    make_engine: Callable[..., Engine],
    run: Callable[..., list[list[Event]]],
    make_order: Callable[..., ImageOrder],
    tiny_model: Model,
    answer: Callable[[list[Verdict]], Any],
    place: str,
) -> None:
    checks = {"own": Check(), "second": Check()} | {place: Check(answer)}
    engine = make_engine()
    engine._release.image_checks = {"second": GuardedChecker(checks["second"], timeout_seconds=5, name="second")}
    model = dataclasses.replace(tiny_model, checker=GuardedChecker(checks["own"], timeout_seconds=5))
    order = make_order(steps=1, safety=SafetyDemand(sld_level=SldLevel.OFF, image_checks=("second",)))

    [events] = run(order, model=model, engine=engine)

    [withheld] = [event for event in events if isinstance(event, Withheld)]
    assert withheld.code is WithheldCode.IMAGE_UNCHECKED
    assert PNG not in "".join(event.model_dump_json() for event in events)
    assert [check.name for check in withheld.receipt.checks] == ([] if place == "own" else ["concepts"])


def test_every_demanded_check_must_clear_the_image(
    make_engine: Callable[..., Engine],
    run: Callable[..., list[list[Event]]],
    make_order: Callable[..., ImageOrder],
    tiny_model: Model,
) -> None:
    model = dataclasses.replace(tiny_model, checker=GuardedChecker(Check(), timeout_seconds=5))

    def outcome(*demanded: str) -> Event:
        engine = make_engine()
        finds = Check(lambda good: [verdict(0.25)])
        engine._release.image_checks = {"second": GuardedChecker(finds, timeout_seconds=5, name="second")}
        demand = SafetyDemand(sld_level=SldLevel.OFF, image_checks=demanded)
        [events] = run(make_order(steps=1, safety=demand), model=model, engine=engine)
        return events[-2]

    cleared, flagged, missing = outcome(), outcome("second"), outcome("third")

    assert isinstance(cleared, Image)
    assert isinstance(flagged, Withheld)
    assert flagged.code is WithheldCode.IMAGE_FLAGGED
    assert [(check.name, check.scores[0].score) for check in flagged.receipt.checks] == [
        ("concepts", -0.5),
        ("second", 0.25),
    ]
    assert isinstance(missing, Withheld)
    assert missing.code is WithheldCode.IMAGE_UNCHECKED


class _Faulty(torch.nn.Module):
    """A part of the model that now and then raises, or gives what is not a number."""

    def __init__(self, part: Any, chance: random.Random, faults: list[str]) -> None:
        super().__init__()
        self.config = part.config
        self._part = [part]
        self._chance = chance
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        if name == "decode":
            return lambda *args, **kwargs: self._spoil(self._part[0].decode(*args, **kwargs))
        return super().__getattr__(name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._spoil(self._part[0](*args, **kwargs))

    def _spoil(self, result: Any) -> Any:
        match self._chance.choice([*self._faults, *["none"] * 30]):
            case "raise":
                raise RuntimeError("injected")
            case "memory":
                raise torch.OutOfMemoryError("injected")
            case "nan" | "inf" as fault:
                result[0][...] = float(fault)
        return result


class _FaultyPipeline:
    """A pipeline outside the step engine that now and then raises, or gives something else than was ordered."""

    FAULTS = ("raise", "memory", "nan", "inf", "too few", "too narrow", "too gray", "see-through")

    def __init__(self, pipeline: Any, chance: random.Random) -> None:
        self._pipeline = pipeline
        self._chance = chance

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def __call__(self, **wanted: Any) -> Any:
        result = self._pipeline(**wanted)
        images = result.images
        match self._chance.choice([*self.FAULTS, *["none"] * 24]):
            case "raise":
                raise RuntimeError("injected")
            case "memory":
                raise torch.OutOfMemoryError("injected")
            case "nan" | "inf" as fault:
                images[...] = float(fault)
            case "too few":
                result.images = images[:0]
            case "too narrow":
                result.images = images[..., 8:]
            case "too gray":
                result.images = images[:, :1]
            case "see-through":
                result.images = torch.cat((images, images[:, :1]), dim=1)
        return result


@pytest.fixture(scope="module")
def foreign(tiny_dir: Path, load_tiny: Callable[..., Model], tmp_path_factory: pytest.TempPathFactory) -> Model:
    directory = tmp_path_factory.mktemp("foreign") / "pipeline"
    write_tiny_lcm(directory, tiny_dir / "tokenizer")
    return load_tiny(directory)


@pytest.mark.parametrize("seed", range(3))
def test_over_a_random_load_with_faults_in_every_stage_what_leaves_was_checked(
    make_order: Callable[..., ImageOrder],
    tiny_model: Model,
    foreign: Model,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("inference.pipelines.assembled", lambda *parts: _FaultyPipeline(assembled(*parts), chance))
    faulty = {
        "text_encoder": _Faulty(tiny_model.parts["text_encoder"], chance, ["raise"]),
        "unet": _Faulty(tiny_model.parts["unet"], chance, ["raise", "nan", "memory"]),
        "vae": _Faulty(tiny_model.parts["vae"], chance, ["raise", "nan", "inf", "inf", "memory"]),
    }
    lies = [*SABOTAGE.values(), lambda good: [verdict(0.5)], *[lambda good: good] * 48]

    def maybe(good: list[Verdict]) -> Any:
        return chance.choice(lies)(good)

    own, second = Check(maybe), Check(maybe)

    class Classifier:
        sha256, version, categories = "2" * 64, "1", ("thing",)

        def classify(self, text: str) -> Any:
            return chance.choice([{"thing": -0.5}] * 24 + [None, {"thing": float("nan")}, {"thing": 0.5}])

    save = PIL.Image.Image.save

    def faulty_save(image: PIL.Image.Image, file: Any, *args: Any, **kwargs: Any) -> None:
        save(image, file, *args, **kwargs)
        if chance.random() < 0.05:
            raise OSError("injected")

    monkeypatch.setattr(PIL.Image.Image, "save", faulty_save)
    checker = GuardedChecker(own, timeout_seconds=5)
    models = [
        dataclasses.replace(tiny_model, parts=tiny_model.parts | faulty, checker=checker),
        dataclasses.replace(foreign, checker=checker),
    ]
    plugins = Plugins(
        {"second": GuardedChecker(second, timeout_seconds=5, name="second")},
        {"told": GuardedClassifier(Classifier(), timeout_seconds=5, name="told")},
    )
    release = Release(Runtime("t", "d", "cpu"))
    release.image_checks = plugins.image_checks
    queue = FairQueue(waiting_orders=100, waiting_per_person=50)
    lanes = {
        "step": Engine(queue, release, buckets=Limits().buckets, max_rows=24),
        "diffusers": PipelineLane(FairQueue(waiting_orders=100, waiting_per_person=50), release),
    }
    desk = Desk(
        fleet=FleetOf(*models),  # type: ignore[arg-type]  # only asked for its models
        lanes=lanes,
        limits=Limits(),
        rules=read_rules(),
        seals=Seals(b"k" * 32),
        plugins=plugins,
    )
    lines: dict[str, list[Event]] = {}
    ended = threading.Semaphore(0)

    def follow(order: ImageOrder) -> Callable[[Event], None]:
        events = lines[order.id] = []

        def emit(event: Event) -> None:
            if isinstance(event, TERMINAL):
                ended.release()
            events.append(event)

        return emit

    orders = [
        make_order(
            seed=i,
            model=models[i % 2].state.digest,
            steps=chance.randint(1, 4),
            images=chance.randint(1, 3),
            previews=chance.randint(0, 2),
            prompt=chance.choice(["a cat", "a dog", "a bomb"]),
            safety=SafetyDemand(
                sld_level=chance.choice(list(SldLevel)), image_checks=chance.choice([("second",), ("second", "second")])
            ),
        )
        for i in range(60)
    ]
    for lane in lanes.values():
        lane.start()
    for order in orders:
        ticket = desk.submit(order, follow(order))
        if chance.random() < 0.1:
            desk.abandon(ticket)
    for _ in orders:
        assert ended.acquire(timeout=20)
    for lane in lanes.values():
        lane.close()
    release.close()

    released = [event for events in lines.values() for event in events if isinstance(event, Image)]
    looks = [event for events in lines.values() for event in events if isinstance(event, Preview)]
    previews = [event for event in looks if event.withheld is None]
    files = [base64.b64decode(event.png_base64) for event in (*released, *previews)]
    pictures = [PIL.Image.open(io.BytesIO(file)) for file in files]
    left = Counter(digest_of(picture) for picture in pictures)
    assert {event.receipt.bucket is None for event in released} == {True, False}  # out of both lanes
    assert {(picture.mode, picture.size) for picture in pictures} == {("RGB", (32, 32))}  # as the checks saw them
    assert left <= own.passed  # as many of each picture as were passed, by each of both
    assert left <= second.passed
    assert WHITE not in own.passed  # what infinity would become
    wire = "".join(event.model_dump_json() for events in lines.values() for event in events)
    assert wire.count(PNG) == len(released) + len(previews)
    for image in released:
        assert [check.name for check in image.receipt.checks] == ["concepts", "second"]
        assert all(score.score <= 0 for check in image.receipt.checks for score in check.scores)
    assert all(isinstance(events[-1], TERMINAL) for events in lines.values())


class FleetOf:
    """A fleet of these models."""

    def __init__(self, *models: Model) -> None:
        self.models = {model.state.digest: model for model in models}

    def find(self, digest: str) -> Model:
        return self.models[digest]


@pytest.mark.parametrize(
    ("demand", "changes", "code", "words"),
    [
        ({"image_checks": ("nudity",)}, {}, ErrorCode.CHECKER_MISMATCH, "No image check named nudity"),
        ({"prompt_checks": ("judge",)}, {}, ErrorCode.CHECKER_MISMATCH, "No prompt check named judge"),
        ({"sld_must_act": True}, {"guidance_scale": 1.0}, ErrorCode.SAFETY_CANNOT_ACT, "Guidance is off"),
        ({"sld_must_act": True, "sld_level": "off"}, {}, ErrorCode.SAFETY_CANNOT_ACT, "It is off"),
        ({"sld_must_act": True}, {"engine": "diffusers"}, ErrorCode.SAFETY_CANNOT_ACT, "outside of the step engine"),
        ({"sld_must_act": True, "sld_level": "weak"}, {"steps": 1}, None, ""),
    ],
)
def test_what_a_stage_demands_and_cannot_have_is_refused_before_anything_is_made(
    make_order: Callable[..., ImageOrder],
    tiny_model: Model,
    demand: dict[str, Any],
    changes: dict[str, Any],
    code: ErrorCode | None,
    words: str,
) -> None:
    state = tiny_model.state.model_copy(update={"engine": changes.pop("engine", "step")})
    queue = FairQueue(waiting_orders=10, waiting_per_person=10)
    release = Release(Runtime("t", "d", "cpu"))
    desk = Desk(
        fleet=FleetOf(dataclasses.replace(tiny_model, state=state)),  # type: ignore[arg-type]  # as above
        lanes={"step": Engine(queue, release, buckets=Limits().buckets, max_rows=24)},
        limits=Limits(),
        rules=read_rules(),
        seals=Seals(b"k" * 32),
        plugins=Plugins(),
    )
    order = make_order(safety=SafetyDemand.model_validate({"sld_level": "medium", **demand}), **changes)

    if code is None:
        desk.submit(order, lambda event: None)
        assert len(queue) == 1
        return
    with pytest.raises(OrderProblem, match=words) as refused:
        desk.submit(order, lambda event: None)
    assert refused.value.code is code


# What a user may say. Everything else that a pipeline understands is refused by name.
OURS = {
    "prompt",
    "negative_prompt",
    "width",
    "height",
    "guidance_scale",
    "steps",
    "seed",
    "images",
    "scheduler",
    "bucket",
}


@pytest.mark.parametrize("pipeline", sorted(PIPELINES))
def test_a_parameter_of_the_pipelines_own_never_reaches_it(
    make_order: Callable[..., ImageOrder], pipeline: str
) -> None:
    level = Safety.load().at(None)
    parameters = set(inspect.signature(getattr(diffusers, pipeline).__call__).parameters) - {"self"} - OURS
    assert {"output_type", "callback_on_step_end", "latents", "prompt_embeds"} <= parameters

    for name in sorted(parameters):
        with pytest.raises(Invalid) as refused:
            OrderRequest.parse({"prompt": "a cat", name: "latent"}, level=level)
        assert refused.value.details["fields"] == {name: f"{name} is not known here; leave it out."}
        with pytest.raises(ValueError, match=name):
            ImageOrder.model_validate(make_order().model_dump() | {name: "latent"})
