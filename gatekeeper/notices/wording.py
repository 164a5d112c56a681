"""What notices say, on pages and in mail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatekeeper.notices.kinds import KINDS


@dataclass(frozen=True)
class Said:
    """A notice in words."""

    title: str
    text: str
    path: str
    why: str


def say(kind: str, facts: Mapping[str, Any]) -> Said:
    """A notice in words. Facts are names that the hub itself checked; anything else in them stays text."""
    form = KINDS[kind]
    # Notices from before the reason was kept were for who takes part; older ones yet of releases name no files.
    words = {"why": "you take part in it", "files": ""} | {name: _line(value) for name, value in facts.items()}
    return Said(*(part.format(**words) for part in (form.title, form.text, form.path, form.why)))


def _line(value: Any) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in str(value))[:300]
