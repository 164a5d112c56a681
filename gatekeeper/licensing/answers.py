"""Checking one answer: text, boxes, dates, countries, choices. What is wrong is told in a sentence."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from gatekeeper.licensing.countries import COUNTRIES
from gatekeeper.licensing.fields import MAX_ANSWER_CHARS, FormField

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_YES = frozenset({"true", "on", "yes", "1"})


def is_blank(value: Any) -> bool:
    """Whether nothing was answered."""
    return value is None or value is False or value == [] or (isinstance(value, str) and not value.strip())


def checked(field: FormField, value: Any) -> Any:
    """The answer in its stored form, None for an optional question that was left out. Raises ValueError."""
    if field.is_optional and is_blank(value):
        return None
    match field.kind:
        case "checkbox":
            return _box(value)
        case "multi_select":
            return _choices(field, value)
    text = _text(field, value)
    match field.kind:
        case "date_picker":
            return _date(text)
        case "country":
            return _country(text)
        case "select":
            return _choice(field, text)
        case _:
            return _bounded(field, text)


def drafted(field: FormField, value: Any) -> Any:
    """An answer as a draft keeps it: of the right kind and bounded, not yet checked. Raises ValueError."""
    if field.kind == "multi_select" and isinstance(value, list):
        if len(value) > len(field.options) or not all(isinstance(one, str) for one in value):
            raise ValueError("This must be some of the choices.")
        return [_printable(one)[:MAX_ANSWER_CHARS] for one in value]
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"This must be text, not {type(value).__name__}.")
    if len(value) > field.most_chars:
        raise ValueError(f"The answer has {len(value):,} characters; at most {field.most_chars:,} are kept.")
    return _printable(value)


def applies(field: FormField, given: Mapping[str, Any]) -> bool:
    """Whether a question is asked at all, after what was answered before it."""
    if field.condition is None:
        return True
    question, wanted = field.condition
    answer = given.get(question)
    return any(one is wanted or one == wanted for one in (answer if isinstance(answer, list) else [answer]))


def _box(value: Any) -> bool:
    if value is True or (isinstance(value, str) and value.strip().lower() in _YES):
        return True
    if is_blank(value):
        raise ValueError("This box must be ticked.")
    raise ValueError("This is a box: send true.")


def _text(field: FormField, value: Any) -> str:
    if value is None or value == "":
        raise ValueError("An answer is missing.")
    if isinstance(value, list):
        raise ValueError("This question takes one answer, and several were sent.")
    if not isinstance(value, str):
        raise ValueError(f"This must be text, not {type(value).__name__}.")
    if len(value) > field.most_chars:
        raise ValueError(f"The answer has {len(value):,} characters; at most {field.most_chars:,} are kept.")
    text = value.strip()
    if not text:
        raise ValueError("An answer is missing.")
    return text


def _bounded(field: FormField, text: str) -> str:
    if len(text) < field.least_chars:
        raise ValueError(f"The answer has {len(text):,} characters; at least {field.least_chars:,} are asked for.")
    return _printable(text)


def _printable(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("The answer contains control characters.")
    return text


def _date(text: str) -> str:
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("This must be a date like 2026-01-31.") from None


def _country(text: str) -> str:
    if text.upper() in COUNTRIES:
        return text.upper()
    code = next((code for code, name in COUNTRIES.items() if name.casefold() == text.casefold()), None)
    if code is None:
        raise ValueError("This must be a country's two-letter code, such as DE.")
    return code


def _choice(field: FormField, text: str) -> str:
    for option in field.options:
        if text in (option.value, option.label):
            return option.value
    raise ValueError(f"This must be one of: {', '.join(option.label for option in field.options)[:400]}.")


def _choices(field: FormField, value: Any) -> list[str]:
    given = [value] if isinstance(value, str) else value
    if is_blank(given):
        raise ValueError("Choose at least one.")
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ValueError("This must be a list of choices.")
    if len(given) > len(field.options):
        raise ValueError("More was chosen than there are choices.")
    chosen = {_choice(field, one.strip()) for one in given}
    if field.most_choices and len(chosen) > field.most_choices:
        raise ValueError(f"{len(chosen)} were chosen; choose at most {field.most_choices}.")
    return [option.value for option in field.options if option.value in chosen]
