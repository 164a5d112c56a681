"""Mistakes and advice beyond single fields, and the tags that follow from a card."""

import pytest

from gatekeeper.repos import cards


def block(text: str) -> str:
    return f"---\n{text}\n---\nbody"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("base_model_relation: cousin", '"base_model_relation" must be one of'),
        ("datasets: a/b/c", '"datasets" with value'),
        ("task_categories: 3", '"task_categories" must be a string'),
        (f"tags: [{'x' * 201}]", "201 characters"),
        ("model-index: {a: b}", '"model-index" must be an array'),
        ("model-index: [{results: []}]", '"model-index[0].name" must be a string'),
        ("model-index: [{name: a, results: [{metrics: []}]}]", '"model-index[0].results[0].task.type"'),
        ("model-index: [{name: a, results: [{task: {type: x}, metrics: [{type: y}]}]}]", "metrics[0]"),
        ("model-index: [{name: a, results: [{task: 3}]}]", "task.type"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, error: str) -> None:
    assert any(error in found for found in cards.validate(block(text)).errors)


def test_a_whole_card_has_no_mistakes() -> None:
    text = (
        "license: mit\nlanguage: [en, zh-CN]\nbase_model: a/b\nbase_model_relation: adapter\nmodel-index:\n- name: x\n"
        "  results:\n  - task: {type: y}\n    dataset: {type: z, name: Z}\n    metrics: [{type: accuracy, value: 0.5}]"
    )

    assert cards.validate(block(text)) == cards.Findings()


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("language: en", "license"),
        ("license: my-own", "not a known license id"),
        ("license: mit\nlanguage: English", "ISO 639"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(text: str, advice: str) -> None:
    found = cards.validate(block(text))

    assert found.errors == ()
    assert any(advice in warning for warning in found.warnings)


def test_tags_follow_from_the_card() -> None:
    card = cards.parse(block("language: en\nbase_model: a/b\nbase_model_relation: merge\nsize_categories: n<1K"))

    assert {"en", "base_model:a/b", "base_model:merge:a/b", "size_categories:n<1K"} <= set(card.all_tags)
    assert "language:en" in card.search_tags
