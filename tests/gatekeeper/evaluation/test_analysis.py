"""What a report says of images whose content is known."""

import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from gatekeeper.evaluation import ImageState, Reader, grids
from gatekeeper.evaluation.analysis import Sample, analyse, figures_of
from gatekeeper.kit.canonical import digest_of
from tests.gatekeeper.evaluation.people import grid_text

READER = Reader(
    sha256="e" * 64,
    name="known",
    grouped_by="profession",
    attributes={"gender": ("man", "woman", "person")},
    # Of the men it reads one in five as a woman.
    confusion={"gender": dict.fromkeys(("doctor", "teacher"), ((400, 100, 0), (0, 500, 0), (0, 0, 500)))},
)
READ = {"doctor": (64, 26, 10), "teacher": (24, 46, 30)}  # behind it 80, 10, 10 and 30, 40, 30


def test_figures_are_those_of_the_worst_profession_as_corrected() -> None:
    body = _analysed()
    figures = figures_of(body)

    shares = {
        cell["profession"]: [round(share["value"], 2) for share in cell["attributes"]["gender"]["corrected"]]
        for cell in body["cells"]
        if not cell["adjective"]
    }
    assert shares == {"doctor": [0.8, 0.1, 0.1], "teacher": [0.3, 0.4, 0.3]}
    assert figures["gender_largest_share_max"]["value"] == pytest.approx(0.8, abs=0.01)
    even = -(0.8 * np.log(0.8) + 0.2 * np.log(0.1)) / np.log(3)  # of the doctors, who are less even
    assert figures["gender_entropy_min"]["value"] == pytest.approx(even, abs=0.02)
    assert figures["recognized_min"]["value"] == pytest.approx(100 / 125)
    # 25 images that do not show a doctor, 5 that were withheld and 3 whose prompts were refused
    assert figures["withheld_rate"]["value"] == pytest.approx(5 / 239, abs=1e-4)
    assert figures["refused_rate"]["value"] == pytest.approx(3 / 239, abs=1e-4)


def test_of_a_profession_without_enough_images_nothing_is_known_and_no_figure_hides_that() -> None:
    assert "gender_entropy_min" in figures_of(_analysed())
    assert "gender_entropy_min" not in figures_of(_analysed(without="teacher"))


def test_a_profession_of_few_images_does_not_hide_behind_the_others() -> None:
    thin = _analysed(read={"doctor": (22, 14, 0), "teacher": (1, 1, 0)}, others=0)
    figures = figures_of(thin)
    doctor, teacher = (cell["attributes"]["gender"] for cell in thin["cells"] if not cell["adjective"])

    assert figures["recognized_min"] == {"value": 1.0, "low": pytest.approx(0.33, abs=0.01), "high": 1.0}
    assert figures["gender_entropy_min"]["low"] == min(doctor["entropy"]["low"], teacher["entropy"]["low"]) < 0.3
    highs = [max(share["high"] for share in each["corrected"]) for each in (doctor, teacher)]
    assert figures["gender_largest_share_max"]["high"] == max(highs) == highs[1] > highs[0]


def test_what_a_reader_has_no_word_for_is_counted_and_makes_no_cell_of_nothing() -> None:
    some = _analysed(labels={"doctor": {"gender": "robot"}})
    [doctor] = [each for each in some["cells"] if (each["profession"], each["adjective"]) == ("doctor", "")]
    assert doctor["attributes"] == {}
    assert "gender_entropy_min" not in figures_of(some)
    assert digest_of(some)  # nothing in it that is no number

    one = _analysed(read={"doctor": (64, 26, 10), "teacher": (24, 46, 30)}, odd=7)
    [doctor] = [each for each in one["cells"] if (each["profession"], each["adjective"]) == ("doctor", "")]
    assert (doctor["attributes"]["gender"]["unread"], doctor["attributes"]["gender"]["counts"]) == (7, [64, 26, 10])


def test_prompts_that_are_refused_as_a_whole_count_once() -> None:
    grid = grids.parse(tomllib.loads(grid_text()))
    samples = [
        Sample(prompt, 4.0, seed, ImageState.REFUSED if prompt == grid.subjects[0] else ImageState.MADE)
        for prompt in grid.subjects
        for seed in range(50)
    ]
    refused = figures_of(analyse(grid, samples, None))["refused_rate"]
    assert refused["value"] == 0.25
    assert refused["high"] > 0.6  # one of four prompts, not 50 of 200 images


def _analysed(
    without: str = "",
    *,
    read: Mapping[str, tuple[int, int, int]] = READ,
    others: int = 25,
    odd: int = 0,
    labels: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    grid = grids.parse(tomllib.loads(grid_text()))
    plain = {prompt.profession: prompt for prompt in grid.subjects if not prompt.adjective}
    samples = []
    for place, (profession, counts) in enumerate(read.items()):
        for gender, count in zip(("man", "woman", "person"), counts, strict=True):
            seen = {"profession": profession, "gender": gender} | dict((labels or {}).get(profession, {}))
            samples += [_sample(plain[profession], seen)] * (0 if profession == without else count)
        samples += [_sample(plain[profession], {"profession": profession, "gender": "robot"})] * odd
        if place == 0:
            samples += [_sample(plain[profession], {})] * others
            samples += [Sample(plain[profession], 4.0, 0, ImageState.WITHHELD)] * 5
        else:
            samples += [Sample(plain[profession], 4.0, 0, ImageState.REFUSED)] * 3
    samples += [_sample(prompt, {"gender": "man"}) for prompt in grid.identities]
    return analyse(grid, samples, READER)


def _sample(prompt: grids.Prompt, labels: dict[str, str]) -> Sample:
    return Sample(prompt, 4.0, 0, ImageState.MADE, "0" * 64, np.array([1.0, 0.0]), labels)
