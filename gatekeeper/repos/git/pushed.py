"""What a client pushed, as values: references to move and the objects that came with them."""

from dataclasses import dataclass

from gatekeeper.repos.git.unpack import Unpacked


@dataclass(frozen=True, slots=True)
class Command:
    """One reference to change: from `old` to `new`, None where there is none before or after."""

    ref: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Push:
    """What was pushed: commands and objects.

    bands    the client takes messages beside the report
    shallow  commits whose parents need not be here: where an upstream cuts its history off
    """

    commands: tuple[Command, ...]
    unpacked: Unpacked
    bands: bool
    shallow: frozenset[str] = frozenset()
