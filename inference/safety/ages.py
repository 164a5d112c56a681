"""Ages in a text in one form, however they are written: 12yo, 13-yr-old, twelve years of age, aged 12."""

import re

_OF_AGE = 18
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate([*_ONES, *_TEENS], start=1)}
_VALUES |= {ten + one: 20 + 10 * i + j for i, ten in enumerate(_TENS) for j, one in enumerate(["", *_ONES])}
_NUMBER = rf"(?>\d{{1,3}}|(?:{'|'.join(_TENS)})(?:[\W_]?(?:{'|'.join(_ONES)}))?|{'|'.join([*_TEENS, *_ONES])})"
_AGED = rf"(?:aged|at[\W_]+(?:the[\W_]+)?age(?:[\W_]+of)?)[\W_]+(?P<aged>{_NUMBER})(?![\W_]*(?:y|month|week|day))"
_OLD = (
    rf"(?:(?P<least>{_NUMBER})\s*(?:[-/–]|to|or|and)\s*)?(?P<number>{_NUMBER})[\W_]{{0,3}}"
    r"(?:y[\W_]{0,2}o|(?:years?|yrs?|y)[\W_]{0,3}(?:olds?|of[\W_]+age))"
)
_AGE = re.compile(rf"(?<![a-z\d])(?:{_AGED}|{_OLD})(?![a-z\d])")


def with_ages_read(text: str) -> str:
    """The text with its ages as `12 years old` and, from 18 on, as `25 adult`. Of a range the lower end counts.

    text  in lower case
    """
    return _AGE.sub(_age, text)


def _age(match: re.Match[str]) -> str:
    written = [match[name] for name in ("aged", "least", "number") if match[name]]
    age = min(int(each) if each.isdigit() else _VALUES[re.sub(r"[\W_]", "", each)] for each in written)
    return f"{age} years old" if age < _OF_AGE else f"{age} adult"
