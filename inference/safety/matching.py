"""Finding the phrases of rules in a reading of a text, all at once: one look-up a word, however many rules."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from inference.safety.normalize import Words, words

SPLIT_WORD_LETTERS = 5  # words from this length on are also found when one space splits them: "kn ife"
SHORTEST_STEM = 3
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
    """Phrases by their first word."""

    by_word: defaultdict[str, list[Phrase]] = field(default_factory=lambda: defaultdict(list))
    by_stem: defaultdict[str, list[Phrase]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, phrases: Iterable[str]) -> "Index":
        """An index of these phrases; each may be given more than once."""
        index = cls()
        for phrase in {phrase_of(text) for text in phrases}:
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
                if len(phrase.words) == 1 and len(phrase.words[0]) >= SPLIT_WORD_LETTERS:
                    found[phrase].append((start, start + 2))
            for phrase in self._stems(joined):
                if len(phrase.words[0]) >= max(SPLIT_WORD_LETTERS, len(word) + 1):  # the stem itself is split
                    found[phrase].append((start, start + 2))
        return dict(found)

    def _stems(self, word: str) -> Iterable[Phrase]:
        if not self.by_stem:
            return ()
        lengths = range(SHORTEST_STEM, len(word) + 1)
        return (phrase for length in lengths for phrase in self.by_stem.get(word[:length], ()))


def _continues(phrase: Phrase, window: Words) -> bool:
    if len(window) < len(phrase.words) or window[:-1] != phrase.words[:-1]:
        return False
    last, term = window[-1], phrase.words[-1]
    return last.startswith(term) and (phrase.is_stem or last[len(term) :] in _PLURALS)
