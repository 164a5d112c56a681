"""One question of a form: its kind, its choices, its limits."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_ANSWER_CHARS = 2_000
MAX_LONG_CHARS = 10_000


class FieldKind(StrEnum):
    """The public hub's field types, then our own two. The values are part of bundle digests."""

    TEXT = "text"
    CHECKBOX = "checkbox"
    DATE = "date_picker"
    COUNTRY = "country"
    SELECT = "select"
    LONG_TEXT = "long_text"
    MULTI_SELECT = "multi_select"


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select field."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class FormField:
    """One question. Its name is its label; it must be answered, a box be ticked, unless it is optional.

    condition     (an earlier question, the answer to it): only then is this one asked
    least, most   limits of a text in characters; of a multiple choice, how many may be chosen (0: all)
    """

    name: str
    kind: FieldKind
    options: tuple[Option, ...] = ()
    help: str = ""
    is_optional: bool = False
    condition: tuple[str, Any] | None = None
    least_chars: int = 0
    limit_chars: int = 0
    most_choices: int = 0

    @property
    def most_chars(self) -> int:
        """The longest answer that is kept."""
        return self.limit_chars or (MAX_LONG_CHARS if self.kind is FieldKind.LONG_TEXT else MAX_ANSWER_CHARS)
