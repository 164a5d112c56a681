"""Prompt screening: rules as data, matched on every reading of the text, with the reason in plain words.

It is the first layer and the cheapest. What no rule names passes on to steering and to the image check.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from inference.contract import ImageOrder, PromptRule, RefusalCode, Refused, RulesFacts
from inference.safety.normalize import Words, readings, words

BUILT_IN = Path(__file__).parent / "rules.toml"
SPLIT_WORD_LETTERS = 5  # words from this length on are also found when one space splits them: "kn ife"


@dataclass(frozen=True)
class Allowed:
    """No rule fired."""


@dataclass(frozen=True)
class Screened:
    """The rules that fired, the most serious first."""

    rules: tuple[PromptRule, ...]


class RulesError(Exception):
    """A rules file that cannot be enforced; the worker does not start with it."""


@dataclass(frozen=True)
class RuleSet:
    """Rules with the version their author gave and the digest of what they say."""

    version: str
    rules: tuple[PromptRule, ...]

    @property
    def sha256(self) -> str:
        """Digest of the rules' canonical JSON; it stands in every receipt."""
        return _rules_sha256(self)

    def facts(self) -> RulesFacts:
        """What health says of the rules."""
        return RulesFacts(version=self.version, sha256=self.sha256, count=len(self.rules))


@lru_cache(maxsize=8)
def _rules_sha256(rules: RuleSet) -> str:
    value = [rules.version, [rule.model_dump(mode="json") for rule in rules.rules]]
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_rules(path: Path = BUILT_IN) -> RuleSet:
    """Rules from TOML: `version` and `[[rule]]` tables with the fields of `PromptRule`. Raises RulesError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        rules = tuple(PromptRule.model_validate(rule) for rule in table["rule"])
        version = str(table["version"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise RulesError(f"{path.name}: {error}") from error
    if len({rule.id for rule in rules}) != len(rules):
        raise RulesError(f"{path.name}: a rule id appears twice")
    if empty := [rule.id for rule in rules if not all(words(term) for term in _phrases(rule))]:
        raise RulesError(f"{path.name}: {empty[0]} has a term without letters")
    return RuleSet(version, rules)


def screen(text: str, rules: Iterable[PromptRule], *, waived: Iterable[str] = ()) -> Allowed | Screened:
    """Every rule that the text breaks. Hard rules ignore `waived`."""
    skipped = frozenset(waived)
    texts = readings(text)
    fired = [
        rule
        for rule in rules
        if (rule.is_hard or rule.id not in skipped) and any(_fires(rule, reading) for reading in texts)
    ]
    return Screened(tuple(sorted(fired, key=lambda rule: not rule.is_hard))) if fired else Allowed()


def screen_order(order: ImageOrder, rules: RuleSet) -> Refused | None:
    """The refusal of an order's texts, if any.

    Prompt and negative prompt are screened each, and together against the hard rules, so that none is split over both.
    """
    every = (*rules.rules, *order.safety.extra_rules)
    hard = [rule for rule in every if rule.is_hard]
    waived = order.safety.waived_rules
    both = f"{order.prompt}\n{order.negative_prompt}"
    for code, place, outcome in [
        (RefusalCode.PROMPT_SCREENED, "", screen(order.prompt, every, waived=waived)),
        (
            RefusalCode.NEGATIVE_PROMPT_SCREENED,
            "Negative prompt: ",
            screen(order.negative_prompt, every, waived=waived),
        ),
        (RefusalCode.PROMPT_SCREENED, "", screen(both, hard)),
    ]:
        match outcome:
            case Screened(fired):
                return Refused(
                    code=code,
                    reason=place + " ".join(dict.fromkeys(rule.reason for rule in fired)),
                    rule_ids=tuple(rule.id for rule in fired),
                    restrictions=tuple(dict.fromkeys(rule.restriction for rule in fired if rule.restriction)),
                )
    return None


def _fires(rule: PromptRule, reading: Words) -> bool:
    return all(_has_any(group, rule.unless, reading) for group in (rule.terms, *rule.together))


def _has_any(terms: tuple[str, ...], unless: tuple[str, ...], reading: Words) -> bool:
    """Whether a term stands in the reading outside of every harmless phrase."""
    harmless = {i for phrase in unless for start, end in _places(words(phrase), reading) for i in range(start, end)}
    return any(
        not harmless.issuperset(range(start, end)) for term in terms for start, end in _places(words(term), reading)
    )


def _places(phrase: Words, reading: Words) -> Iterable[tuple[int, int]]:
    """Where a phrase stands in a reading, as [start, end) of words; the last word may carry a plural s."""
    size = len(phrase)
    for start in range(len(reading) - size + 1):
        window = reading[start : start + size]
        if window[:-1] == phrase[:-1] and _is_form_of(window[-1], phrase[-1]):
            yield start, start + size
    if size == 1 and len(phrase[0]) >= SPLIT_WORD_LETTERS:
        for start in range(len(reading) - 1):
            if _is_form_of(reading[start] + reading[start + 1], phrase[0]):
                yield start, start + 2


def _is_form_of(word: str, term: str) -> bool:
    return word == term or (word.startswith(term) and word[len(term) :] in {"s", "es"})


def _phrases(rule: PromptRule) -> tuple[str, ...]:
    return (*rule.terms, *(term for group in rule.together for term in group), *rule.unless)
