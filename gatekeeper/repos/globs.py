"""Git's file patterns, matched in time that a hostile pattern cannot stretch.

Patterns come from strangers' repositories. Translated to regular expressions, a few stars and a long name take years;
here a star is retried from its last place only, so a match costs at most (length of pattern) x (length of path).
Source: gitignore(5), gitattributes(5), git's wildmatch.c.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item

MAX_PATTERN = 512
_CLASSES: dict[str, Callable[[str], bool]] = {
    "space": str.isspace,
    "alpha": str.isalpha,
    "digit": str.isdigit,
    "alnum": str.isalnum,
    "lower": str.islower,
    "upper": str.isupper,
}


@dataclass(frozen=True, slots=True)
class _Set:
    """`[a-z]`: ranges and named classes, possibly negated."""

    ranges: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    is_negated: bool

    def holds(self, letter: str) -> bool:
        inside = any(low <= letter <= high for low, high in self.ranges) or any(
            _CLASSES[name](letter) for name in self.classes
        )
        return inside is not self.is_negated


class _Star:
    """Any number of letters, or of segments."""


class _Any:
    """Exactly one letter."""


_STAR, _ANY = _Star(), _Any()
_Letter = str | _Set | _Star | _Any
_Segment = tuple[_Letter, ...] | _Star


class Glob:
    """A pattern relative to the root. `**` as a whole segment stands for any number of folders."""

    def __init__(self, pattern: str) -> None:
        """Raises ValueError for a pattern that Git would match with nothing: an unclosed set, or one too long."""
        if len(pattern) > MAX_PATTERN:
            raise ValueError("the pattern is too long")
        segments: list[_Segment] = [_STAR if part == "**" else _letters(part) for part in pattern.split("/")]
        if segments[-1] is _STAR:
            segments.append((_STAR,))  # `a/**` names what is in `a`, not `a` itself
        self._segments = segments

    def matches(self, segments: Sequence[str]) -> bool:
        """Whether the path made of `segments` matches."""
        return _greedy(self._segments, segments, _segment_fits)


def _segment_fits(pattern: _Segment, segment: str) -> bool:
    return not isinstance(pattern, _Star) and _greedy(pattern, segment, _letter_fits)


def _letter_fits(pattern: _Letter, letter: str) -> bool:
    match pattern:
        case str():
            return pattern == letter
        case _Set():
            return pattern.holds(letter)
    return isinstance(pattern, _Any)


def _greedy(pattern: Sequence[T], items: Sequence[I], fits: Callable[[T, I], bool]) -> bool:
    at = here = restart = 0
    star: int | None = None
    while here < len(items):
        if at < len(pattern) and isinstance(pattern[at], _Star):
            star, restart, at = at, here, at + 1
        elif at < len(pattern) and fits(pattern[at], items[here]):
            at, here = at + 1, here + 1
        elif star is not None:
            restart += 1
            at, here = star + 1, restart
        else:
            return False
    return all(isinstance(rest, _Star) for rest in pattern[at:])


def _letters(text: str) -> tuple[_Letter, ...]:
    found: list[_Letter] = []
    at = 0
    while at < len(text):
        match text[at]:
            case "*":
                if not (found and found[-1] is _STAR):
                    found.append(_STAR)
            case "?":
                found.append(_ANY)
            case "[":
                made, at = _set(text, at + 1)
                found.append(made)
            case "\\":
                at += 1
                if at == len(text):
                    raise ValueError("the pattern ends with a backslash")
                found.append(text[at])
            case letter:
                found.append(letter)
        at += 1
    return tuple(found)


def _set(text: str, at: int) -> tuple[_Set, int]:
    """The set whose `[` lies before `at`, and the place of its `]`."""
    is_negated = text[at : at + 1] in ("!", "^")
    at += is_negated
    ranges: list[tuple[str, str]] = []
    classes: list[str] = []
    first = True
    while at < len(text) and (first or text[at] != "]"):
        first = False
        if text.startswith("[:", at) and (end := text.find(":]", at)) > 0:
            if (name := text[at + 2 : end]) not in _CLASSES:
                raise ValueError("the pattern names an unknown class")
            classes.append(name)
            at = end + 2
            continue
        at += text[at] == "\\"
        low = high = text[at : at + 1]
        if text[at + 1 : at + 2] == "-" and text[at + 2 : at + 3] not in ("", "]"):
            at += 2 + (text[at + 2] == "\\")
            high = text[at : at + 1]
        ranges.append((low, high))
        at += 1
    if at >= len(text):
        raise ValueError("the pattern has an unclosed set")
    return _Set(tuple(ranges), tuple(classes), is_negated), at
