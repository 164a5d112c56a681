"""Finding the phrases of rules in a reading of a text, all at once: one look-up a word, however many rules."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from inference.safety.normalize import Words, words

SPLIT_WORD_LETTERS = 5  # words from this length on are also found when one space splits them: "kn ife"
SHORTEST_SPLIT = 3  # shorter ones only where a part has no vowel, and so is no word: "gu n"
SHORTEST_STEM = 3
_TOGETHER = range(5, 41)  # letters of words that may be two: "nudewoman"
_BEFORE = frozenset(["a", "hand"])  # what is written together with terms beside other terms
_AFTER = frozenset(["man", "men", "woman", "women", "lady", "people", "body", "pic", "pics"])
_VOWELS = frozenset("aeiouy")
_PLURALS = ("", "s", "es")

Spans = list[tuple[int, int]]  # [start, end) in words


@dataclass(frozen=True)
class Phrase:
    """A rule's phrase in the form that readings have. `is_stem`: the last word may have any ending."""

    words: Words
    is_stem: bool


@lru_cache(maxsize=20_000)
def phrase_of(text: str) -> Phrase:
    """A phrase as rules write it; a `*` at its end makes its last word a stem."""
    return Phrase(words(text), text.rstrip().endswith("*"))


@dataclass
class Index:
    """Phrases by their first word. `known`: terms that are one word, which may be written together with another."""

    by_word: defaultdict[str, list[Phrase]] = field(default_factory=lambda: defaultdict(list))
    by_stem: defaultdict[str, list[Phrase]] = field(default_factory=lambda: defaultdict(list))
    known: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, terms: Iterable[str], unless: Iterable[str]) -> "Index":
        """An index of these phrases; each may be given more than once."""
        index = cls()
        single = {phrase for phrase in map(phrase_of, terms) if len(phrase.words) == 1 and not phrase.is_stem}
        index.known = {phrase.words[0] + ending for phrase in single for ending in _PLURALS}
        for phrase in {phrase_of(text) for text in (*terms, *unless)}:
            first = phrase.words[0]
            if len(phrase.words) > 1:
                index.by_word[first].append(phrase)
            elif phrase.is_stem:
                index.by_stem[first].append(phrase)
            else:
                for ending in _PLURALS:
                    index.by_word[first + ending].append(phrase)
        return index

    def find(self, reading: Words) -> dict[Phrase, Spans]:
        """Where each phrase stands in a reading; the last word of a phrase may carry a plural s."""
        found: defaultdict[Phrase, Spans] = defaultdict(list)
        for start, word in enumerate(reading):
            for phrase in self.by_word.get(word, ()):
                end = start + len(phrase.words)
                if len(phrase.words) == 1 or _continues(phrase, reading[start:end]):
                    found[phrase].append((start, end))
            for phrase in self._stems(word):
                found[phrase].append((start, start + 1))
            joined = word + reading[start + 1] if start + 1 < len(reading) else ""
            for phrase in self.by_word.get(joined, ()):
                if len(phrase.words) == 1 and _may_be_split(phrase.words[0], word, reading[start + 1]):
                    found[phrase].append((start, start + 2))
            for phrase in self._stems(joined):
                if len(phrase.words[0]) >= max(SPLIT_WORD_LETTERS, len(word) + 1):  # the stem itself is split
                    found[phrase].append((start, start + 2))
            if len(word) in _TOGETHER and word not in self.by_word:
                for phrase in self._written_together(word):
                    found[phrase].append((start, start + 1))
        return dict(found)

    def _written_together(self, word: str) -> Iterable[Phrase]:
        """Phrases of two words that a word is made of, and those of one word that stand in it beside another known."""
        for cut in range(1, len(word)):
            first, second = word[:cut], word[cut:]
            is_known = first != second and (
                (first in self.known and (second in self.known or second in _AFTER))
                or (first in _BEFORE and second in self.known)
            )
            for phrase in self.by_word.get(first, ()):
                if is_known if len(phrase.words) == 1 else _continues(phrase, (first, second)):
                    yield phrase
            if is_known:
                yield from (phrase for phrase in self.by_word.get(second, ()) if len(phrase.words) == 1)

    def _stems(self, word: str) -> Iterable[Phrase]:
        if not self.by_stem:
            return ()
        lengths = range(SHORTEST_STEM, len(word) + 1)
        return (phrase for length in lengths for phrase in self.by_stem.get(word[:length], ()))


def _may_be_split(word: str, first: str, second: str) -> bool:
    # One letter before a word may be an ending that an apostrophe cut off: "her son's ex".
    is_no_word = _VOWELS.isdisjoint(second) or (len(first) > 1 and _VOWELS.isdisjoint(first))
    return len(word) >= (SHORTEST_SPLIT if is_no_word else SPLIT_WORD_LETTERS) and not first.startswith(word)


def _continues(phrase: Phrase, window: Words) -> bool:
    if len(window) < len(phrase.words) or window[:-1] != phrase.words[:-1]:
        return False
    last, term = window[-1], phrase.words[-1]
    return last.startswith(term) and (phrase.is_stem or last[len(term) :] in _PLURALS)
