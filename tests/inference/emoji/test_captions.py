"""Captions: names with their articles and plurals, and samples that fit what they say."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="the inference extra is not installed")

from inference.emoji import captions, vocabulary
from inference.emoji.render import Picture


def _picture(name, **facts):
    return Picture(name, "x", facts.pop("category", "thing"), (), True, True, **facts)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("red apple", "a red apple"),
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("hourglass", "an hourglass"),
        ("scissors", "scissors"),
    ],
)
def test_name_gets_its_article(name, expected):
    assert captions.article(name) + name == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat", "cats"),
        ("computer mouse", "computer mice"),
        ("bus", "buses"),
        ("strawberry", "strawberries"),
        ("drop of blood", "drops of blood"),
        ("glasses", "glasses"),
    ],
)
def test_name_gets_its_plural(name, expected):
    assert captions.plural(name) == expected


def test_sample_always_fits_its_own_picture():
    pictures = [_picture("red apple"), _picture("bomb", concept=2), _picture("pencil"), *_doctors()]
    source = captions.Captions(pictures, range(len(pictures)), captions.NAMES_ONLY)
    random = np.random.default_rng(0)

    samples = [source.draw(random) for _ in range(300)]

    assert all(sample.picture in sample.matches for sample in samples)


def test_neutral_caption_follows_the_published_bias():
    pictures = [*_doctors()]
    only_neutral = captions.Shares(empty=0, neutral=1, partial=0, ambiguous=0, category=0, two=0)
    source = captions.Captions(pictures, range(len(pictures)), only_neutral)
    random = np.random.default_rng(0)

    genders = [pictures[source.draw(random).picture].gender for _ in range(4000)]

    for gender, share in zip(vocabulary.GENDERS, vocabulary.GENDER_SHARES["doctor"], strict=True):
        assert abs(genders.count(gender) / 4000 - share) < 0.03


def test_unseen_text_still_has_tokens(tmp_path: Path):
    tokenizer = captions.train_tokenizer([_picture("red apple")], tmp_path)

    ids = tokenizer("Ünïcörn zebra 12").input_ids

    assert len(ids) > 4
    assert tokenizer.eos_token_id not in ids[:-1]


def _doctors():
    return [
        _picture(f"{g} doctor with {t} skin tone", category="person", profession="doctor", gender=g, tone=t)
        for g in vocabulary.GENDERS
        for t in (*vocabulary.TONES, vocabulary.YELLOW)
    ]
