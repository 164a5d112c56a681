"""The difference of two versions of terms, for a person to read: line by line, text by text."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gatekeeper.kit.canonical import digest_of
from gatekeeper.licensing.terms import Document
from gatekeeper.licensing.texts import canonical_sha256

_CONTEXT = 3
_MOST_LINES = 4_000  # beyond this comparing takes too long; then all old lines are shown as gone, all new ones as added

Kind = Literal["same", "gone", "added", "skipped"]
_MARKS: Mapping[Kind, str] = {"same": " ", "gone": "-", "added": "+", "skipped": "~"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `skipped` says in words how many equal ones are left out."""

    kind: Kind
    text: str

    @property
    def marked(self) -> str:
        """The line after the mark that differences carry in plain text."""
        return f"{_MARKS[self.kind]} {self.text}"


@dataclass(frozen=True, slots=True)
class TextDifference:
    """What became of one text. `old` or `new` is None where it was added or taken away.

    has_same_words  quotes, list marks, white space and case apart, the words are the same
    """

    title: str
    old: Document | None
    new: Document | None
    lines: tuple[Line, ...]
    has_same_words: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that changed; unchanged texts are left out."""

    texts: tuple[TextDifference, ...]
    sha256: str


def between(old: Sequence[Document], new: Sequence[Document]) -> Difference:
    """What changed from the old terms to the new ones."""
    gone = [document for document in old if document.sha256 not in {each.sha256 for each in new}]
    added = [document for document in new if document.sha256 not in {each.sha256 for each in old}]
    pairs: list[tuple[Document | None, Document | None]] = []
    for document in added:
        match = next((each for each in gone if each.title == document.title), gone[0] if gone else None)
        if match is not None:
            gone.remove(match)
        pairs.append((match, document))
    pairs += [(document, None) for document in gone]
    digest = digest_of({"old": [each.sha256 for each in old], "new": [each.sha256 for each in new]})
    return Difference(tuple(_text(before, after) for before, after in pairs), digest)


def _text(old: Document | None, new: Document | None) -> TextDifference:
    shown = new or old
    assert shown is not None
    same = old is not None and new is not None and canonical_sha256(old.body) == canonical_sha256(new.body)
    lines = _lines(old.text.splitlines() if old else [], new.text.splitlines() if new else [])
    return TextDifference(shown.title, old, new, tuple(lines), same)


def _lines(old: list[str], new: list[str]) -> list[Line]:
    if len(old) + len(new) > _MOST_LINES:
        return [*(Line("gone", line) for line in old), *(Line("added", line) for line in new)]
    found: list[Line] = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for group in matcher.get_opcodes():
        tag, first, last, start, end = group
        if tag == "equal":
            found += _context(old[first:last], is_first=first == 0, is_last=last == len(old))
        else:
            found += [Line("gone", line) for line in old[first:last]]
            found += [Line("added", line) for line in new[start:end]]
    return found


def _context(lines: list[str], *, is_first: bool, is_last: bool) -> list[Line]:
    """Equal lines near a change; of a long run only the ends."""
    before, after = (0 if is_first else _CONTEXT), (0 if is_last else _CONTEXT)
    left_out = len(lines) - before - after
    if left_out <= 1:
        return [Line("same", line) for line in lines]
    head, tail = lines[:before], lines[len(lines) - after :]
    note = Line("skipped", f"{left_out} unchanged lines")
    return [*(Line("same", line) for line in head), note, *(Line("same", line) for line in tail)]
