"""What a scan says about one content, as values. Nothing in it repeats a secret that was found."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Raised whenever the same content could get another verdict: everything is then scanned again as it is met.
SCANNER = 1
MOST_FINDINGS = 50
MOST_IMPORTS = 500


class Status(StrEnum):
    """Worst last. `UNSCANNED` is no verdict: nobody has looked yet."""

    UNSCANNED = "unscanned"
    SAFE = "safe"
    SUSPICIOUS = "suspicious"
    UNSAFE = "unsafe"

    @property
    def is_issue(self) -> bool:
        """Whether people should be told."""
        return self in (Status.SUSPICIOUS, Status.UNSAFE)


class Kind(StrEnum):
    """What a finding is about."""

    PICKLE = "pickle"
    SAFETENSORS = "safetensors"
    SECRET = "secret"  # noqa: S105 - a word, not one
    ARCHIVE = "archive"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `detail` is a sentence for the file's authors and readers."""

    kind: Kind
    status: Status
    detail: str


@dataclass(frozen=True, slots=True)
class Import:
    """A name that a pickle imports when it is loaded. `safety` is innocuous, suspicious or dangerous."""

    module: str
    name: str
    safety: str


@dataclass(slots=True)
class Verdict:
    """What was found in one content.

    format  what it is by its bytes, whatever its name says
    facts   what was read beside: `parameters` of safetensors by type, `gguf`
    """

    format: str = "binary"
    findings: list[Finding] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """The worst finding's, safe where there is none."""
        order = list(Status)
        return max((finding.status for finding in self.findings), key=order.index, default=Status.SAFE)

    def find(self, kind: Kind, status: Status, detail: str) -> None:
        """Add a finding once; there is an end to how many are kept."""
        found = Finding(kind, status, detail)
        if found not in self.findings and len(self.findings) < MOST_FINDINGS:
            self.findings.append(found)

    def as_json(self) -> dict[str, Any]:
        """The form in `ContentScan.result`."""
        return {
            "findings": [{"kind": each.kind, "status": each.status, "detail": each.detail} for each in self.findings],
            "imports": [
                {"module": each.module, "name": each.name, "safety": each.safety}
                for each in self.imports[:MOST_IMPORTS]
            ],
            "facts": self.facts,
        }

    @classmethod
    def from_json(cls, format: str, result: dict[str, Any]) -> "Verdict":
        """The verdict that `as_json` wrote."""
        return cls(
            format,
            [Finding(Kind(each["kind"]), Status(each["status"]), each["detail"]) for each in result["findings"]],
            [Import(each["module"], each["name"], each["safety"]) for each in result["imports"]],
            result["facts"],
        )
