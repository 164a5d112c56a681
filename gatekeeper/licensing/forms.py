"""The questions an applicant answers: a card's `extra_gated_fields`, read, and answers to them, checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from gatekeeper import errors
from gatekeeper.kit.canonical import digest_of
from gatekeeper.licensing.countries import COUNTRIES

MAX_ANSWER_CHARS = 2_000
_MAX_FIELDS = 50
_MAX_NAME_CHARS = 500
_MAX_OPTIONS = 200
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_YES = frozenset({"true", "on", "yes", "1"})


class FieldKind(StrEnum):
    """The public hub's field types. The values are part of bundle digests."""

    TEXT = "text"
    CHECKBOX = "checkbox"
    DATE = "date_picker"
    COUNTRY = "country"
    SELECT = "select"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select field."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class FormField:
    """One question. Its name is its label; every question must be answered, every box be ticked."""

    name: str
    kind: FieldKind
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """The questions in the card's order. `problems` says what in the card could not be understood."""

    fields: tuple[FormField, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> "Form":
        """The form a card asks for. Never raises: what is not understood becomes a text question and a problem."""
        if value is None:
            return cls()
        if not isinstance(value, Mapping):
            return cls(problems=("extra_gated_fields must map each question to its type.",))
        problems: list[str] = []
        if len(value) > _MAX_FIELDS:
            problems.append(f"extra_gated_fields has {len(value)} questions; at most {_MAX_FIELDS} are asked.")
        parsed = tuple(_field(name, kind, problems) for name, kind in list(value.items())[:_MAX_FIELDS])
        return cls(parsed, tuple(problems))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Form":
        """The form as `as_json` wrote it."""
        return cls(
            tuple(
                FormField(
                    field["name"],
                    FieldKind(field["type"]),
                    tuple(Option(option["label"], option["value"]) for option in field.get("options", [])),
                )
                for field in stored.get("fields", [])
            )
        )

    def as_json(self) -> dict[str, Any]:
        """JSON form, whose canonical digest is part of the bundle. Compatibility: keys are added, never changed."""
        if not self.fields:
            return {}
        return {"fields": [_field_json(field) for field in self.fields]}

    @property
    def sha256(self) -> str:
        """Digest of the questions."""
        return digest_of(self.as_json())

    def validate(self, answers: Any) -> dict[str, Any]:
        """The answers in their stored form: text trimmed, boxes True, dates as YYYY-MM-DD, countries as codes.

        Raises Invalid (422) whose details["fields"] names every question that is missing, too long, of the wrong type
        or not asked at all.
        """
        if not isinstance(answers, Mapping):
            raise errors.Invalid(
                "The answers must map each question to its answer.",
                status=422,
                next_step='Send them as {"fields": {"question": "answer"}}.',
                details={"fields": {}},
            )
        known = {field.name: field for field in self.fields}
        wrong = {str(name)[:_MAX_NAME_CHARS]: "This question is not asked." for name in answers if name not in known}
        given: dict[str, Any] = {}
        for field in self.fields:
            try:
                given[field.name] = _answer(field, answers.get(field.name))
            except ValueError as problem:
                wrong[field.name] = str(problem)
        if wrong:
            sentences = "; ".join(f"{name}: {why}" for name, why in wrong.items())
            raise errors.Invalid(
                f"{len(wrong)} of the answers cannot be accepted: {sentences}",
                status=422,
                next_step="Correct the named answers and send the form again.",
                details={"fields": wrong},
            )
        return given


def _field(name: Any, kind: Any, problems: list[str]) -> FormField:
    label = str(name).strip()[:_MAX_NAME_CHARS]
    options: tuple[Option, ...] = ()
    if isinstance(kind, Mapping):
        options = _options(label, kind.get("options"), problems)
        kind = kind.get("type")
    try:
        parsed = FieldKind(str(kind))
    except ValueError:
        problems.append(f"{label}: the type {str(kind)[:40]!r} is not one of {', '.join(FieldKind)}; asked as text.")
        return FormField(label, FieldKind.TEXT)
    if parsed is FieldKind.SELECT and not options:
        problems.append(f"{label}: a select question needs options; asked as text.")
        return FormField(label, FieldKind.TEXT)
    return FormField(label, parsed, options if parsed is FieldKind.SELECT else ())


def _options(label: str, value: Any, problems: list[str]) -> tuple[Option, ...]:
    if not isinstance(value, list):
        return ()
    if len(value) > _MAX_OPTIONS:
        problems.append(f"{label}: only the first {_MAX_OPTIONS} options are offered.")
    pairs = [
        (option.get("label", option.get("value", "")), option.get("value", option.get("label", "")))
        if isinstance(option, Mapping)
        else (option, option)
        for option in value[:_MAX_OPTIONS]
    ]
    return tuple(Option(str(shown)[:_MAX_NAME_CHARS], str(sent)[:_MAX_NAME_CHARS]) for shown, sent in pairs)


def _field_json(field: FormField) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": field.name, "type": field.kind.value}
    if field.options:
        plain["options"] = [{"label": option.label, "value": option.value} for option in field.options]
    return plain


def _answer(field: FormField, value: Any) -> Any:
    """The answer in its stored form. Raises ValueError with the sentence for the applicant."""
    if field.kind is FieldKind.CHECKBOX:
        if value is True or (isinstance(value, str) and value.strip().lower() in _YES):
            return True
        if value is None or value is False or value == "":
            raise ValueError("This box must be ticked.")
        raise ValueError("This is a box: send true.")
    if value is None or value == "":
        raise ValueError("An answer is missing.")
    if not isinstance(value, str):
        raise ValueError(f"This must be text, not {type(value).__name__}.")
    text = value.strip()
    if len(value) > MAX_ANSWER_CHARS:
        raise ValueError(f"The answer has {len(value):,} characters; at most {MAX_ANSWER_CHARS:,} are kept.")
    if not text:
        raise ValueError("An answer is missing.")
    match field.kind:
        case FieldKind.DATE:
            return _date(text)
        case FieldKind.COUNTRY:
            return _country(text)
        case FieldKind.SELECT:
            return _choice(field, text)
        case _:
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
