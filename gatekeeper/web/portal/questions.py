"""The questions of a form as a page asks them, and what was answered there, by question."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData

from gatekeeper.errors import Invalid
from gatekeeper.licensing import COUNTRIES, FieldKind, Form, FormField
from gatekeeper.web.portal import forms

Answers = Mapping[str, str | list[str]]  # by name of the input; a list where several can be chosen

_LONG_WORDS = ("what", "why", "how", "describe", "purpose")


@dataclass(frozen=True)
class Question:
    """A question of the form; `input` is the name of its input.

    hint    help of the question, when it is asked, its limits: one sentence after the other
    chosen  what is ticked, where several can be chosen
    """

    input: str
    label: str
    kind: str
    is_long: bool
    is_required: bool
    is_optional: bool
    hint: str
    most_chars: int
    options: tuple[tuple[str, str], ...]
    value: str
    chosen: frozenset[str]
    error: str


def read(form: Form, sent: FormData) -> dict[str, str | list[str]]:
    """What was sent for each question, by the name of its input."""
    answers: dict[str, str | list[str]] = {}
    for index, field in enumerate(form.fields):
        name = f"q-{index}"
        if field.kind is FieldKind.MULTI_SELECT:
            answers[name] = forms.texts(sent, name)
        elif name in sent:
            answers[name] = forms.text(sent, name, most=field.most_chars + 1)  # one more: too long stays too long
    return answers


def stored(form: Form, fields: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Answers that were given before, as the inputs show them."""
    answers: dict[str, str | list[str]] = {}
    for index, field in enumerate(form.fields):
        match fields.get(field.name):
            case None | False:
                continue
            case True:
                answers[f"q-{index}"] = "yes"
            case list() as several:
                answers[f"q-{index}"] = [str(one) for one in several]
            case value:
                answers[f"q-{index}"] = str(value)
    return answers


def named(form: Form, answers: Answers) -> dict[str, Any]:
    """Answers by question instead of by input; what was left empty is left out."""
    return {
        field.name: answers[f"q-{index}"]
        for index, field in enumerate(form.fields)
        if answers.get(f"q-{index}", "") not in ("", [])
    }


def wrong(form: Form, error: Invalid) -> dict[str, str]:
    """What is wrong with the answers, by the name of the input, each with its question."""
    named_wrong = error.details.get("fields")
    if not isinstance(named_wrong, Mapping):
        return {}
    return {
        f"q-{index}": f"{field.name}: {named_wrong[field.name]}"
        for index, field in enumerate(form.fields)
        if field.name in named_wrong
    }


def questions(form: Form, answers: Answers, errors: Mapping[str, str]) -> list[Question]:
    """The questions in their order, with what was answered and what is wrong with it."""
    made = []
    for index, field in enumerate(form.fields):
        name = f"q-{index}"
        given = answers.get(name, "")
        made.append(
            Question(
                input=name,
                label=field.name,
                kind=field.kind.value,
                is_long=field.kind is FieldKind.LONG_TEXT
                or (field.kind is FieldKind.TEXT and any(word in field.name.lower() for word in _LONG_WORDS)),
                is_required=not field.is_optional and field.condition is None,
                is_optional=field.is_optional,
                hint=_hint(field),
                most_chars=field.most_chars,
                options=_options(field),
                value=given if isinstance(given, str) else "",
                chosen=frozenset(given if isinstance(given, list) else ()),
                error=errors.get(name, "").removeprefix(f"{field.name}: "),
            )
        )
    return made


def _options(field: FormField) -> tuple[tuple[str, str], ...]:
    plain = tuple((option.value, option.label) for option in field.options)
    match field.kind:
        case FieldKind.SELECT:
            return (("", "Choose one"), *plain)
        case FieldKind.COUNTRY:
            return (("", "Choose one"), *sorted(COUNTRIES.items(), key=lambda item: item[1]))
    return plain


def _hint(field: FormField) -> str:
    said = []
    if field.condition is not None:
        question, answer = field.condition
        shown = "is ticked" if answer is True else f"is “{answer}”"
        said.append(f"Answer only if “{question}” {shown}.")
    if field.help:
        said.append(field.help)
    if field.least_chars:
        said.append(f"At least {field.least_chars:,} characters.")
    if field.limit_chars:
        said.append(f"At most {field.limit_chars:,} characters.")
    if field.most_choices:
        said.append(f"Choose at most {field.most_choices}.")
    return " ".join(said)
