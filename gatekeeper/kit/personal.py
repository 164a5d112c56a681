"""Columns for what people wrote, each value sealed under the key of one person: without the key it is noise, wherever
copies of it lie.

A value is written together with its key (`PersonKey.words`, `.facts`) and stored as `<id of the key>.<sealed>`. Keys
lie in the table `personal_key`, themselves sealed with the server's. Reading brings the key along in the same query, so
a key that is gone reads as nothing at once, in every process, and no process remembers keys.

Compatibility: migrations use this module, so what was sealed stays readable.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from gatekeeper.kit.ids import new_id
from gatekeeper.kit.sealing import Box

_ID_CHARS = 26
_KEY_BYTES = 32
_KEYS = sa.table("personal_key", sa.column("id", sa.Text), sa.column("sealed", sa.Text))


@dataclass(frozen=True, slots=True)
class PersonKey:
    """One person's key. `words` and `facts` give values as they are, ready to be stored under it."""

    id: str
    box: Box

    @classmethod
    def make(cls, server: Box) -> tuple[Self, str]:
        """A new key, and the form in which the database keeps it."""
        id, raw = new_id(), secrets.token_bytes(_KEY_BYTES)
        return cls(id, Box(raw)), server.seal(raw.hex(), purpose=f"personal_key {id}")

    @classmethod
    def opened(cls, id: str, sealed: str, server: Box) -> Self:
        """The key that `make` gave. Raises ValueError for any other server's."""
        return cls(id, Box(bytes.fromhex(server.open(sealed, purpose=f"personal_key {id}"))))

    def words(self, text: str) -> "Words":
        """For a column of `PersonalText`."""
        made = Words(text)
        made.key = self
        return made

    def facts(self, facts: Mapping[str, Any]) -> "Facts":
        """For a column of `PersonalJson`."""
        made = Facts(facts)
        made.key = self
        return made

    def __deepcopy__(self, _memo: Any) -> Self:  # a copy of a value lies under the same key
        return self

    def seal(self, text: str) -> str:
        """As the database holds it."""
        return f"{self.id}.{self.box.seal(text, purpose=self.id)}"

    def commit(self, text: str, *, about: str) -> str:
        """What the evidence holds of words about this person, in an event about `about`.

        Whoever has the key checks with it what was written. Without the key, which an erasure destroys, no guess can be
        tried, and the same words in another event look different.
        """
        return self.box.commit(text, purpose=f"{self.id} {about}")

    def open(self, stored: str) -> str:
        """What `seal` was given. Raises ValueError for anything else."""
        return self.box.open(stored.removeprefix(f"{self.id}."), purpose=self.id)


class Words(str):
    """A text that knows the key under which it is stored."""

    key: PersonKey


class Facts(dict[str, Any]):
    """JSON that knows the key under which it is stored."""

    key: PersonKey


class PersonalText(TypeDecorator[str]):
    """A text under its person's key; blank where there is none, or where the key was destroyed."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if not value:
            return value
        if not isinstance(value, Words):
            raise TypeError("what a person wrote is stored under their key: give PersonKey.words(...)")
        return value.key.seal(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _opened(value, dialect)

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return _with_key(column, self)


class PersonalJson(TypeDecorator[dict[str, Any]]):
    """A JSON object under its person's key; empty where there is none, or where the key was destroyed."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        if not value:
            return None if value is None else ""
        if not isinstance(value, Facts):
            raise TypeError("what a person answered is stored under their key: give PersonKey.facts(...)")
        return value.key.seal(json.dumps(value, ensure_ascii=False))

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else json.loads(_opened(value, dialect) or "{}")

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return _with_key(column, self)


def open_with(dialect: Dialect, box: Callable[[], Box]) -> None:
    """Let the columns of a database be opened with the server's key, which is fetched when it is first needed.

    It hangs on the dialect, for that is all that a column's type sees of its database.
    """
    dialect.personal_box = cache(box)  # type: ignore[attr-defined]


def box_of(dialect: Dialect) -> Box:
    """The server's key for a database."""
    found: Callable[[], Box] | None = getattr(dialect, "personal_box", None)
    if found is None:
        raise RuntimeError("this database was opened without the key for what people wrote")
    return found()


def _with_key(column: sa.ColumnElement[Any], type_: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """`<sealed key>|<stored value>`, the first empty where there is no such key."""
    text = sa.type_coerce(column, sa.Text)
    key = (
        sa.select(_KEYS.c.sealed)
        .where(_KEYS.c.id == sa.func.substr(text, 1, _ID_CHARS))
        .correlate_except(_KEYS)
        .scalar_subquery()
    )
    return sa.type_coerce(sa.func.coalesce(key, "").concat("|").concat(text), type_)


def _opened(found: str, dialect: Dialect) -> str:
    key, _, stored = found.partition("|")
    return PersonKey.opened(stored[:_ID_CHARS], key, box_of(dialect)).open(stored) if key else ""
