"""The questions an applicant answers: a card's `extra_gated_fields`, read, and answers to them, checked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gatekeeper import errors
from gatekeeper.kit.canonical import digest_of
from gatekeeper.licensing import answers as checks
from gatekeeper.licensing.fields import MAX_ANSWER_CHARS, MAX_LONG_CHARS, FieldKind, FormField, Option

_MAX_FIELDS = 50
_MAX_NAME_CHARS = 500
_MAX_OPTIONS = 200
_MAX_HELP_CHARS = 1_000
_CHOSEN_FROM = ("select", "multi_select")


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
        parsed: list[FormField] = []
        for name, kind in list(value.items())[:_MAX_FIELDS]:
            parsed.append(_field(name, kind, parsed, problems))
        return cls(tuple(parsed), tuple(problems))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Form":
        """The form as `as_json` wrote it."""
        return cls(
            tuple(
                FormField(
                    field["name"],
                    FieldKind(field["type"]),
                    tuple(Option(option["label"], option["value"]) for option in field.get("options", [])),
                    field.get("help", ""),
                    field.get("optional", False),
                    (field["when"]["question"], field["when"]["answer"]) if "when" in field else None,
                    field.get("min_chars", 0),
                    field.get("max_chars", 0),
                    field.get("max_choices", 0),
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
            if not checks.applies(field, given):
                continue  # what was typed before another answer made the question disappear is not kept
            try:
                answer = checks.checked(field, answers.get(field.name))
            except ValueError as problem:
                wrong[field.name] = str(problem)
            else:
                if answer is not None:
                    given[field.name] = answer
        _refuse(wrong)
        return given

    def drafted(self, answers: Any) -> dict[str, Any]:
        """Answers as a draft keeps them: to known questions, bounded, not yet checked. Raises Invalid as `validate`."""
        if not isinstance(answers, Mapping):
            return self.validate(answers)
        known = {field.name: field for field in self.fields}
        wrong = {str(name)[:_MAX_NAME_CHARS]: "This question is not asked." for name in answers if name not in known}
        kept: dict[str, Any] = {}
        for name, field in known.items():
            if checks.is_blank(answers.get(name)):
                continue
            try:
                kept[name] = checks.drafted(field, answers[name])
            except ValueError as problem:
                wrong[name] = str(problem)
        _refuse(wrong)
        return kept


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        sentences = "; ".join(f"{name}: {why}" for name, why in wrong.items())
        raise errors.Invalid(
            f"{len(wrong)} of the answers cannot be accepted: {sentences}",
            status=422,
            next_step="Correct the named answers and send the form again.",
            details={"fields": dict(wrong)},
        )


def _field(name: Any, kind: Any, earlier: list[FormField], problems: list[str]) -> FormField:
    label = str(name).strip()[:_MAX_NAME_CHARS]
    if not isinstance(kind, Mapping):
        return _typed(label, kind, (), problems)
    field = _typed(label, kind.get("type"), _options(label, kind.get("options"), problems), problems)
    return replace(
        field,
        help=str(kind.get("help", ""))[:_MAX_HELP_CHARS],
        is_optional=kind.get("optional") is True,
        condition=_condition(label, kind.get("when"), earlier, problems),
        least_chars=_limit(label, "min_chars", kind, problems),
        limit_chars=_limit(label, "max_chars", kind, problems),
        most_choices=_limit(label, "max_choices", kind, problems),
    )


def _condition(label: str, when: Any, earlier: list[FormField], problems: list[str]) -> tuple[str, Any] | None:
    """The one earlier answer that a question depends on. What is not understood asks the question of everybody."""
    if when is None:
        return None
    if isinstance(when, Mapping) and len(when) == 1:
        question, answer = next(iter(when.items()))
        asked = next((field for field in earlier if field.name == str(question).strip()), None)
        if asked is not None and isinstance(answer, str | bool):
            return asked.name, answer if asked.kind is not FieldKind.CHECKBOX else bool(answer)
    problems.append(f"{label}: `when` must name one earlier question and its answer; asked of everybody.")
    return None


def _limit(label: str, key: str, kind: Mapping[str, Any], problems: list[str]) -> int:
    value = kind.get(key, 0)
    most = MAX_LONG_CHARS if kind.get("type") == FieldKind.LONG_TEXT else MAX_ANSWER_CHARS
    if type(value) is int and 0 <= value <= most:
        return value
    problems.append(f"{label}: {key} must be a whole number up to {most:,}; left out.")
    return 0


def _typed(label: str, kind: Any, options: tuple[Option, ...], problems: list[str]) -> FormField:
    try:
        parsed = FieldKind(str(kind))
    except ValueError:
        problems.append(f"{label}: the type {str(kind)[:40]!r} is not one of {', '.join(FieldKind)}; asked as text.")
        return FormField(label, FieldKind.TEXT)
    if parsed in _CHOSEN_FROM and not options:
        problems.append(f"{label}: a select question needs options; asked as text.")
        return FormField(label, FieldKind.TEXT)
    return FormField(label, parsed, options if parsed in _CHOSEN_FROM else ())


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
    if field.condition is not None:
        plain["when"] = {"question": field.condition[0], "answer": field.condition[1]}
    extras = {
        "help": field.help,
        "optional": field.is_optional,
        "min_chars": field.least_chars,
        "max_chars": field.limit_chars,
        "max_choices": field.most_choices,
    }
    plain |= {key: value for key, value in extras.items() if value}
    return plain
