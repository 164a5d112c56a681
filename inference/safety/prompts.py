"""Prompt screening: rules as data, matched on every reading of the text, with the reason in plain words.

It is the first layer and the cheapest. What no rule names passes on to steering and to the image check.
"""

import hashlib
import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference.contract import ImageOrder, PromptRule, RefusalCode, Refused, RulesFacts
from inference.safety.matching import SHORTEST_STEM, Index, Phrase, Spans, phrase_of
from inference.safety.normalize import readings

Read = tuple[dict[Phrase, Spans], frozenset[int]]  # of one reading: what stands where, and which words are its own

BUILT_IN = Path(__file__).parent / "rules.toml"


@dataclass(frozen=True)
class Allowed:
    """No rule fired."""


@dataclass(frozen=True)
class Screened:
    """The rules that fired, the most serious first."""

    rules: tuple[PromptRule, ...]


class RulesError(ValueError):
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
    """Rules from TOML: `version`, `[[rule]]` tables with the fields of `PromptRule`, and `languages`, a file beside it
    with more words for them. Raises RulesError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        more = _languages(path.with_name(table["languages"])) if "languages" in table else {}
        if unknown := set(more) - {rule["id"] for rule in table["rule"]}:
            raise RulesError(f"{table['languages']}: there is no rule {', '.join(sorted(unknown))}")
        whole = {rule["id"]: _with_words(rule, more.get(rule["id"], [])) for rule in table["rule"]}
        rules = tuple(PromptRule.model_validate(_with_groups(whole[rule["id"]], whole)) for rule in table["rule"])
        version = str(table["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RulesError(f"{path.name}: {error}") from error
    if len({rule.id for rule in rules}) != len(rules):
        raise RulesError(f"{path.name}: a rule id appears twice")
    for rule in rules:
        for term in (*_terms(rule), *rule.unless):
            phrase = phrase_of(term)
            if not phrase.words or (phrase.is_stem and len(phrase.words[-1]) < SHORTEST_STEM):
                raise RulesError(f"{path.name}: {rule.id} has a term without letters, or a stem of fewer than three")
    return RuleSet(version, rules)


def screen(
    text: str,
    rules: Iterable[PromptRule],
    *,
    waived: Iterable[str] = (),
    restrictions: Iterable[str] = (),
    beside: str | None = None,
) -> Allowed | Screened:
    """Every rule that the text breaks. Hard rules ignore `waived`; licensed ones hold for these `restrictions` only.

    beside  the prompt where `text` is a negative prompt; then only inverted rules hold, else only the others
    """
    skipped, licensed = frozenset(waived), frozenset(restrictions)
    in_force = tuple(
        rule
        for rule in rules
        if rule.is_inverted is (beside is not None)
        and (rule.is_hard or rule.id not in skipped)
        and (not rule.is_licensed or rule.restriction in licensed)
    )
    index = _index(in_force)
    found = _read(index, text)
    around = found if beside is None or not found else _read(index, beside)
    fired = [rule for rule in in_force if _fires(rule, found, around)] if found else []
    return Screened(tuple(sorted(fired, key=lambda rule: not rule.is_hard))) if fired else Allowed()


def screen_order(order: ImageOrder, rules: RuleSet) -> Refused | None:
    """The refusal of an order's texts, if any.

    A negative prompt leads away from what it names, so naming something harmful in it is no harm. What it could turn
    into harm, because it leads away from something that protects, is what inverted rules are about.
    """
    demand = order.safety
    every = (*rules.rules, *demand.extra_rules)

    def read(text: str, beside: str | None = None) -> Allowed | Screened:
        return screen(text, every, waived=demand.waived_rules, restrictions=demand.restrictions, beside=beside)

    for code, place, outcome in [
        (RefusalCode.PROMPT_SCREENED, "", read(order.prompt)),
        (RefusalCode.NEGATIVE_PROMPT_SCREENED, "Negative prompt: ", read(order.negative_prompt, beside=order.prompt)),
    ]:
        match outcome:
            case Screened(fired):
                return Refused(
                    code=code,
                    reason=place + " ".join(dict.fromkeys(rule.reason for rule in fired)),
                    rule_ids=tuple(rule.id for rule in fired),
                    restrictions=tuple(dict.fromkeys(rule.restriction for rule in fired if rule.restriction)),
                    is_hard=any(rule.is_hard for rule in fired),
                )
    return None


def _languages(path: Path) -> dict[str, list[dict[str, Any]]]:
    """More words by rule id, from every language of a file."""
    more: dict[str, list[dict[str, Any]]] = {}
    for language, tables in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for rule, table in tables.items():
            if odd := set(table) - {"terms", "unless", "together"}:
                raise RulesError(f"{path.name}: {language}.{rule}: {', '.join(sorted(odd))} is unknown")
            more.setdefault(rule, []).append(table)
    return more


def _with_words(rule: dict[str, Any], more: list[dict[str, Any]]) -> dict[str, Any]:
    added = {key: [word for table in more for word in table.get(key, [])] for key in ("terms", "unless", "together")}
    if added["together"] and len(rule.get("together", [])) != 1:
        raise RulesError(f"{rule['id']}: languages add words to a second group, and it has not exactly one")
    together = [[*group, *added["together"]] for group in rule.get("together", [])]
    return rule | {
        "terms": [*rule["terms"], *added["terms"]],
        "unless": [*rule.get("unless", []), *added["unless"]],
        "together": together,
    }


def _with_groups(rule: dict[str, Any], whole: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """`together_of` names rules whose terms make one more group: "id", or "id together" for their second group;
    `unless_of` names rules whose harmless phrases are this one's too."""
    rule = dict(rule)
    rule["unless"] = [*rule["unless"], *(phrase for id in rule.pop("unless_of", []) for phrase in whole[id]["unless"])]
    if names := rule.pop("together_of", []):
        asked = [name.partition(" ") for name in names]
        words = [
            word for id, _, second in asked for word in (whole[id]["together"][0] if second else whole[id]["terms"])
        ]
        rule["together"] = [*rule["together"], words]
    return rule


@lru_cache(maxsize=64)
def _index(rules: tuple[PromptRule, ...]) -> Index:
    return Index.of([term for rule in rules for term in _terms(rule)], [term for rule in rules for term in rule.unless])


def _read(index: Index, text: str) -> list[Read]:
    """What stands where in each reading of a text, and which of its words the plainest one has not, or not as often.

    Only what has such a word counts in another reading. The rest is judged in the plainest, where harmless phrases
    stand as they were written: "a naked mole-rat" is no "naked molerat".
    """
    plain, *others = readings(text)
    had = Counter(plain)
    read = [(index.find(plain), frozenset(range(len(plain))))]
    for other in others:
        more = Counter(other) - had
        read.append((index.find(other), frozenset(i for i, word in enumerate(other) if word in more)))
    return [(places, own) for places, own in read if places]


def _fires(rule: PromptRule, found: list[Read], around: list[Read]) -> bool:
    """A term, and one of each group; each in any reading, for one prompt may have several disguises.

    around  where the groups are looked for: the same text, or the prompt of a negative prompt
    """
    if any(_has(phrase, rule, found) for phrase in rule.never_with):
        return False
    return any(_has(term, rule, found) for term in rule.terms) and all(
        any(_has(term, rule, around) for term in group) for group in rule.together
    )


def _has(term: str, rule: PromptRule, read: list[Read]) -> bool:
    """Whether a term stands in a reading outside of every harmless phrase."""
    phrase = phrase_of(term)
    for places, own in read:
        if spans := [span for span in places.get(phrase, ()) if not own.isdisjoint(range(*span))]:
            harmless = {i for each in rule.unless for span in places.get(phrase_of(each), ()) for i in range(*span)}
            if any(not harmless.issuperset(range(*span)) for span in spans):
                return True
    return False


def _terms(rule: PromptRule) -> tuple[str, ...]:
    return (*rule.terms, *(term for group in rule.together for term in group), *rule.never_with)
