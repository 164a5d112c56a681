"""What to tell of a file: signature, watermark and record, each with what it proves and what it does not."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.kit.canonical import instant_text
from gatekeeper.provenance import records
from gatekeeper.provenance.manifests import Signature, SignatureState
from gatekeeper.provenance.notary import Examination
from gatekeeper.provenance.tables import ImageRecord
from gatekeeper.repos.tables import Repo

# Whether anybody at all may know of a repository at a commit.
IsPublic = Callable[[AsyncSession, Repo, str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for. `state` is for programs, the rest for people."""

    subject: str
    state: str
    title: str
    proves: str
    proves_not: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Everything that is told of a file. `model` is None where no record was found, or its model is not public."""

    examination: Examination
    findings: tuple[Finding, ...]
    record: ImageRecord | None
    model: Repo | None

    @property
    def is_ours(self) -> bool:
        """Whether anything shows that this hub made the image."""
        return any(finding.state in _OURS for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For programs. Compatibility: fields are added, never renamed or given a new meaning."""
        seen, signature = self.examination, self.examination.signature
        found: dict[str, dict[str, Any]] = {}
        for finding in self.findings:
            found[finding.subject] = {
                "state": finding.state,
                "text": finding.title,
                "proves": finding.proves,
                "does_not_prove": finding.proves_not,
            }
        found["signature"] |= {
            "signer": signature.signer or None,
            "problems": list(signature.problems),
            "facts": dict(signature.facts),
        }
        found["watermark"] |= {"record": None if seen.number is None else records.number_text(seen.number)}
        found["record"] |= {"details": self._details()}
        return {
            "sha256": seen.sha256,
            "format": seen.kind.value,
            "width": seen.width,
            "height": seen.height,
            **found,
        }

    def _details(self) -> dict[str, Any] | None:
        if self.record is None:
            return None
        return {
            "number": records.number_text(self.record.number),
            "receipt_id": self.record.receipt_id,
            "made_at": instant_text(self.record.made_at),
            "image_sha256": self.record.image_sha256,
            "is_preview": self.record.is_preview,
            "model": self.model.full_name if self.model else None,
            "commit": self.record.commit_id if self.model else None,
        }


async def judge(session: AsyncSession, examination: Examination, *, is_public: IsPublic) -> Verdict:
    """The examined file beside our records; of the model only what anybody may know now."""
    exact = await records.by_digest(session, examination.sha256)
    signature = examination.signature
    if signature.state is SignatureState.EXPIRED and exact is None:  # anybody could have made that certificate
        unknown = Signature(SignatureState.INVALID, signature.signer, signature.problems)
        examination = replace(examination, signature=unknown)
    stated = _number_of(examination.signature.facts.get("record"))
    numbers = {number for number in (examination.number, stated) if number is not None}
    named = {record.number: record for record in await records.by_number(session, numbers)}
    ways = (examination.number, stated)
    record = exact or next((named[number] for number in ways if number in named), None)
    model = await session.get(Repo, record.repo_id) if record else None
    if record is None or model is None or not await is_public(session, model, record.commit_id):
        model = None
    findings = (
        _SIGNATURE[examination.signature.state],
        _MARK[examination.number is not None],
        _RECORD["exact" if exact else "found" if record else "none"],
    )
    return Verdict(examination, findings, record, model)


def _number_of(text: object) -> int | None:
    try:
        return int(text, 16) if isinstance(text, str) and len(text) == 10 else None
    except ValueError:
        return None


_OURS = {"trusted", "found", "exact"}
_SIGNATURE = {
    SignatureState.TRUSTED: Finding(
        "signature",
        "trusted",
        "Signed by this hub, and unchanged since.",
        "This hub made the image with a generative model and signed exactly this file. What the signature states about "
        "the model, the license and the checks was so at that time.",
        "It says nothing about who ordered the image or with which words, and nothing about whether what it shows is "
        "true.",
    ),
    SignatureState.EXPIRED: Finding(
        "signature",
        "expired",
        "Signed by this hub with a certificate that has ended.",
        "The file is as this hub signed it: its digest is in the record below. Without that, an ended certificate "
        "would prove nothing.",
        "By itself the signature no longer shows who made it, nor when.",
    ),
    SignatureState.VALID: Finding(
        "signature",
        "valid",
        "Signed by somebody whom this hub does not know.",
        "The file is as its signer left it.",
        "This hub cannot vouch for who that is, nor for anything that the signature states.",
    ),
    SignatureState.INVALID: Finding(
        "signature",
        "invalid",
        "The signature does not hold.",
        "The file was changed after it was signed, its signed metadata is damaged or was copied from another file, or "
        "the certificate of its signer is not valid, or no longer.",
        "It does not show where the image came from, and nothing that its metadata states can be relied on.",
    ),
    SignatureState.MISSING: Finding(
        "signature",
        "missing",
        "There is no signed metadata.",
        "Nothing. Most programs and sites drop it when they save an image.",
        "Its absence does not show that a person made the image, nor that it was not made here.",
    ),
}
_MARK = {
    True: Finding(
        "watermark",
        "found",
        "This hub's invisible mark was found.",
        "The picture, or a large part of it, was in all likelihood made by this hub. By chance a mark is read in fewer "
        "than one of a thousand pictures, and then it hardly ever names a record.",
        "The picture may have been edited since, and somebody skilled can copy a mark onto another picture. It is a "
        "way to find the record, not evidence against anybody.",
    ),
    False: Finding(
        "watermark",
        "not_found",
        "No mark of this hub was found.",
        "Nothing. Turning, resizing to another size, strong compression, filters and redrawing remove it, and pictures "
        "below 64 pixels have none.",
        "Its absence does not show that the image was not made here.",
    ),
}
_RECORD = {
    "exact": Finding(
        "record",
        "exact",
        "This file is, bit for bit, what this hub gave out.",
        "Its digest is in this hub's records and in the evidence log behind them.",
        "The record does not name who ordered it.",
    ),
    "found": Finding(
        "record",
        "found",
        "This hub has a record of the image, and this file is a changed copy of it.",
        "An image was given out under the record that this file names.",
        "What was changed is not known, and by the mark alone it is not certain that it is a copy of that image.",
    ),
    "none": Finding(
        "record",
        "none",
        "This hub has no record of the image.",
        "This hub gave out no file with this digest, and none with a record that this file names.",
        "A copy that has lost its mark and its metadata is not recognized.",
    ),
}
