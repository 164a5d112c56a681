"""What would change by other policies: values for people and for machines."""

from dataclasses import dataclass, field
from typing import Any

from gatekeeper.authz.actions import Action
from gatekeeper.authz.audiences import in_words

_SHOWN = 200


@dataclass(frozen=True)
class Change:
    """Somebody would gain or lose a right.

    token   what they would do it with, in words; "" for a browser
    commit  "" for the best release they may know
    """

    who: str
    token: str
    action: Action
    what: str
    commit: str
    is_gain: bool
    rules: tuple[str, ...]

    def __str__(self) -> str:
        at = f" at {self.commit[:12]}" if self.commit else ""
        by = f" (by {', '.join(self.rules)})" if self.rules else " (no rule allows it)"
        token = f" with a token {self.token}" if self.token else ""
        return f"{'gains' if self.is_gain else 'loses'}: {self.who} {self.action} {self.what}{at}{token}{by}"


@dataclass(frozen=True)
class CellChange:
    """A cell of the matrix would change: a capability, its column, and the widest audience by old and new policies."""

    title: str
    column: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.title} at {self.column}: {in_words(self.before)} becomes {in_words(self.after)}"


@dataclass
class Simulation:
    """What would change. `rights` are people's rights as they stand, `acts` what was done and decided again.

    lost_tokens  acts done with a token that is gone, decided as its person's in a browser
    is_cut       the repositories were not all looked at, for there were too many
    """

    old: str
    new: str
    cells: list[CellChange] = field(default_factory=list)
    rights: list[Change] = field(default_factory=list)
    acts: list[Change] = field(default_factory=list)
    decisions: int = 0
    replayed: int = 0
    lost_tokens: int = 0
    is_cut: bool = False

    def as_json(self) -> dict[str, Any]:
        """For machines: every change."""
        return {
            "old": self.old,
            "new": self.new,
            "matrix": [str(cell) for cell in self.cells],
            "rights": [_row(change) for change in self.rights],
            "acts": [_row(change) for change in self.acts],
            "decisions": self.decisions,
            "replayed": self.replayed,
            "lost_tokens": self.lost_tokens,
            "is_cut": self.is_cut,
        }

    @property
    def text(self) -> str:
        """For people: the first changes of each kind, and how many there are."""
        lost = f", {self.lost_tokens:,} of them without their token, which is gone" if self.lost_tokens else ""
        lines = [f"Policies {self.old[:16]} (in force) against {self.new[:16]}."]
        for title, changes in (
            ("the matrix", self.cells),
            (f"rights as they stand ({self.decisions:,} decisions)", self.rights),
            (f"acts of the evidence log ({self.replayed:,} decided again{lost})", self.acts),
        ):
            lines.append(f"{title}: {len(changes)} changes" if changes else f"{title}: nothing changes")
            lines += [f"  {change}" for change in changes[:_SHOWN]]
            lines += [f"  and {len(changes) - _SHOWN} more (--json shows all)"] if len(changes) > _SHOWN else []
        return "\n".join(lines)


def _row(change: Change) -> dict[str, Any]:
    return {
        "who": change.who,
        "token": change.token or None,
        "action": change.action.value,
        "what": change.what,
        "commit": change.commit or None,
        "gains": change.is_gain,
        "rules": list(change.rules),
    }
