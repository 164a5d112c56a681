"""How requests are handled, as data: `policies/requests.toml`, read once and checked hard."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from gatekeeper import errors
from gatekeeper.kit.bundled import bundled_dir

FILE_NAME = "requests.toml"
Then = Literal["reject", "flag", "route", "approve"]
_THENS = ("reject", "flag", "route", "approve")
_REASON_ACTS = frozenset({"reject", "return", "revoke", "suspend"})
_LISTS = frozenset({"countries", "email_domains", "stages", "namespaces"})
_NUMBERS = frozenset({"account_days_below", "account_days_from"})
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,39}", re.ASCII)


class BrokenRules(ValueError):
    """The file cannot be used; the text names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A place where requests wait, with the days within which they should be answered."""

    name: str
    title: str
    service_days: int


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason that can be chosen for some acts; people read `text`."""

    code: str
    acts: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of prerequisite; `days` is how long one counts unless it has an end of its own, 0 for ever.

    how  what to do about it, for who lacks it
    """

    kind: str
    title: str
    days: int
    how: str = ""


@dataclass(frozen=True, slots=True)
class ScreeningRule:
    """What happens to a request of which everything in `when` holds."""

    id: str
    reason: str
    then: Then
    when: Mapping[str, Any]
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The file's content. The first queue is where requests start."""

    queues: tuple[Queue, ...]
    reasons: tuple[Reason, ...]
    kinds: tuple[Kind, ...]
    screening: tuple[ScreeningRule, ...]
    appeal_days: int
    expiry_notice_days: tuple[int, ...]
    draft_days: int
    most_open: int
    median_days: int
    median_least: int

    @classmethod
    def load(cls, policies_dir: Path | None = None) -> "Rules":
        """The rules of a folder of policies, None for the bundled one. Each folder is read once in a process.

        A folder without the file goes by the bundled one. Raises BrokenRules naming the file and what is wrong.
        """
        own = policies_dir / FILE_NAME if policies_dir else None
        return _load(own if own is not None and own.is_file() else bundled_dir("policies") / FILE_NAME)

    def queue(self, name: str) -> Queue:
        """The queue of that name. Raises Invalid for one that is not there."""
        found = next((queue for queue in self.queues if queue.name == name), None)
        if found is None:
            raise errors.Invalid(
                "There is no such queue.", next_step=f"Choose one of {', '.join(queue.name for queue in self.queues)}."
            )
        return found

    def service_days(self, name: str) -> int:
        """The target of a queue; a queue that is gone from the file counts as the first one."""
        return next((queue.service_days for queue in self.queues if queue.name == name), self.queues[0].service_days)

    def reason_text(self, code: str, act: str) -> str:
        """The words of a reason code for an act, "" for no code. Raises Invalid for an unknown one."""
        if not code:
            return ""
        found = next((reason for reason in self.reasons if reason.code == code and act in reason.acts), None)
        if found is None:
            raise errors.Invalid("This reason is not one that can be chosen here.", next_step="Choose from the list.")
        return found.text

    def reasons_for(self, act: str) -> tuple[Reason, ...]:
        """The reasons that can be chosen for an act."""
        return tuple(reason for reason in self.reasons if act in reason.acts)

    def kind(self, name: str) -> Kind:
        """The kind of prerequisite of that name. Raises Invalid for one that is not there."""
        found = next((kind for kind in self.kinds if kind.kind == name), None)
        if found is None:
            raise errors.Invalid(
                "There is no such kind of prerequisite.",
                next_step=f"Choose one of {', '.join(kind.kind for kind in self.kinds)}.",
            )
        return found


@lru_cache(maxsize=16)
def _load(path: Path) -> Rules:
    try:
        return parse(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BrokenRules(f"{path.name}: {problem}") from problem


def parse(data: Mapping[str, Any]) -> Rules:
    """The rules in a TOML file's data. Raises ValueError, KeyError or TypeError."""
    queues = tuple(
        Queue(_name(entry["name"]), str(entry["title"]), _whole(entry, "service_days", least=1))
        for entry in data["queue"]
    )
    if not queues:
        raise ValueError("there must be a queue")
    notices = data["expiry_notice_days"]
    if not isinstance(notices, list) or not all(type(days) is int and days > 0 for days in notices):
        raise ValueError("expiry_notice_days must be whole numbers from 1")
    rules = Rules(
        queues=queues,
        reasons=tuple(_reason(entry) for entry in data.get("reason", [])),
        kinds=tuple(
            Kind(
                _name(entry["kind"]),
                str(entry["title"]),
                _whole(entry, "days"),
                _words(entry, "how") if "how" in entry else "",
            )
            for entry in data.get("prerequisite", [])
        ),
        screening=tuple(_screening(entry, {queue.name for queue in queues}) for entry in data.get("rule", [])),
        appeal_days=_whole(data, "appeal_days"),
        expiry_notice_days=tuple(sorted(set(notices), reverse=True)),
        draft_days=_whole(data, "draft_days", least=1),
        most_open=_whole(data, "most_open", least=1),
        median_days=_whole(data, "median_days", least=1),
        median_least=_whole(data, "median_least", least=3),
    )
    for what, names in (
        ("queue", [queue.name for queue in rules.queues]),
        ("reason", [reason.code for reason in rules.reasons]),
        ("prerequisite", [kind.kind for kind in rules.kinds]),
        ("rule", [rule.id for rule in rules.screening]),
    ):
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{what} {', '.join(sorted(twice))} is there twice")
    return rules


def _reason(entry: Mapping[str, Any]) -> Reason:
    acts = frozenset(entry["for"])
    if not acts or acts - _REASON_ACTS:
        raise ValueError(f"reason {entry['code']}: `for` names some of {', '.join(sorted(_REASON_ACTS))}")
    return Reason(_name(entry["code"]), acts, _words(entry, "text"))


def _screening(entry: Mapping[str, Any], queues: set[str]) -> ScreeningRule:
    id, when, then = _name(entry["id"]), entry["when"], entry["then"]
    if then not in _THENS:
        raise ValueError(f"rule {id}: then must be one of {', '.join(_THENS)}")
    if not isinstance(when, Mapping) or not when:
        raise ValueError(f"rule {id}: `when` must say when it applies")
    for key, value in when.items():
        if key in _LISTS:
            is_right = isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
        elif key in _NUMBERS:
            is_right = type(value) is int and value >= 0
        elif key == "answers":
            is_right = isinstance(value, Mapping) and all(isinstance(wanted, list) for wanted in value.values())
        else:
            raise ValueError(f"rule {id}: there is no condition {key!r}")
        if not is_right:
            raise ValueError(f"rule {id}: the condition {key} has a wrong value")
    queue = str(entry.get("queue", ""))
    if (then == "route") != bool(queue) or (queue and queue not in queues):
        raise ValueError(f"rule {id}: a rule that routes, and no other, names one of the queues")
    return ScreeningRule(id, _words(entry, "reason"), then, dict(when), queue)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name: lower-case letters, digits, - and _")
    return value


def _words(entry: Mapping[str, Any], key: str) -> str:
    text = str(entry[key]).strip()
    if not text or len(text) > 500:
        raise ValueError(f"{key} needs 1 to 500 characters")
    return text


def _whole(entry: Mapping[str, Any], key: str, *, least: int = 0) -> int:
    value = entry[key]
    if type(value) is not int or not least <= value <= 100_000:
        raise ValueError(f"{key} must be a whole number from {least}")
    return int(value)
