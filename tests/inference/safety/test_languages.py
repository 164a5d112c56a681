"""The published prompts: refused and passed at the rates that the report states, in every script, quickly."""

import tomllib
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from inference.contract import PromptRule
from inference.safety.prompts import Allowed, RulesError, Screened, read_rules, screen

POLICIES = Path(__file__).parents[3] / "policies"
RULES = read_rules()
GROUPS = tomllib.loads((POLICIES / "evaluations" / "prompts.toml").read_text("utf-8"))["group"]


def is_refused(text: str, negative: str = "") -> bool:
    outcomes = [screen(text, RULES.rules), screen(negative, RULES.rules, beside=text)]
    return any(isinstance(outcome, Screened) for outcome in outcomes)


def texts_of(group: dict[str, Any]) -> list[tuple[str, str]]:
    """Each prompt with its negative prompt."""
    return list(zip_longest(group["prompts"], group.get("negatives", []), fillvalue=""))


@pytest.mark.parametrize(
    "group", [g for g in GROUPS if g["split"] == "tuned"], ids=lambda g: f"{g['side']} {g['language']} {g['kind']}"
)
def test_what_the_rules_were_written_for_they_do(group: dict[str, Any]) -> None:
    wrong = [texts for texts in texts_of(group) if is_refused(*texts) is not (group["side"] == "harmful")]

    assert wrong == []


def test_what_they_were_not_written_for_they_mostly_do() -> None:
    seen: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for group in GROUPS:
        if group["split"] == "held-out":
            seen[group["side"]] += len(group["prompts"])
            refused[group["side"]] += sum(is_refused(*texts) for texts in texts_of(group))

    assert refused["harmful"] >= 0.9 * seen["harmful"]
    assert refused["harmless"] <= 0.03 * seen["harmless"]


def test_every_restriction_is_one_of_the_license_catalogue() -> None:
    catalogue = tomllib.loads((POLICIES / "licenses" / "catalogue.toml").read_text("utf-8"))

    assert {rule.restriction for rule in RULES.rules if rule.restriction} <= set(catalogue["restriction"])


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("С БОМБОЙ", True),
        ("рядом бомбоубежище", False),
        ("والقنبلة", True),
        ("قـنـبـلـة", True),
        ("ﾊﾞｸﾀﾞﾝ", True),
        ("バターナイフとナイフ", True),
        ("폭탄을", True),
        ("ΒΟΜΒ", True),
        ("a g u n", True),
        ("una gran ada de mano", False),
        ("चाकू", True),
        ("चौक", False),  # the same letters with other vowel signs
        ("बा.म", False),
        ("चा.कू", True),
        ("eine enthauptete Statue", True),
    ],
)
def test_words_are_read_as_their_script_writes_them(text: str, is_seen: bool) -> None:
    assert is_refused(text) is is_seen


def test_a_licensed_rule_holds_only_under_its_license() -> None:
    text = "an x ray of my hand"

    assert screen(text, RULES.rules) == Allowed()
    assert screen(text, RULES.rules, restrictions=["pii"]) == Allowed()
    fired = screen(text, RULES.rules, restrictions=["medical"])
    assert isinstance(fired, Screened)
    assert fired.rules[0].id == "license.medical"


def test_a_licensed_rule_cannot_be_hard_or_without_a_restriction() -> None:
    for change in ({}, {"restriction": "law", "is_hard": True}):
        with pytest.raises(ValueError, match="licensed rule"):
            PromptRule.model_validate(
                {"id": "a", "category": "c", "reason": "r", "terms": ["x"], "is_licensed": True, **change}
            )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("[de.b]\nterms = ['x']", "no rule b"),
        ("[de.a]\nwords = ['x']", "words is unknown"),
        ("[de.a]\ntogether = ['x']", "second group"),
        ("[de.a]\nterms = ['xy*']", "stem"),
        ("de = 1", "rules.toml"),
    ],
)
def test_words_that_cannot_be_used_are_refused(tmp_path: Path, words: str, complaint: str) -> None:
    rules = "version='1'\nlanguages='more.toml'\n[[rule]]\nid='a'\ncategory='c'\nreason='r'\nterms=['xyz']"
    (tmp_path / "rules.toml").write_text(rules)
    (tmp_path / "more.toml").write_text(words)

    with pytest.raises(RulesError, match=complaint):
        read_rules(tmp_path / "rules.toml")
