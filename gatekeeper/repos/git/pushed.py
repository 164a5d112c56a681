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
    """What was pushed: commands and objects. `bands` says that the client takes messages beside the report."""

    commands: tuple[Command, ...]
    unpacked: Unpacked
    bands: bool
