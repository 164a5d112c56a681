"""Receipts: signed statements that verify years later with nothing but the public key.

    {"format": "gatekeeper-acceptance", "version": 1, "statement": {...}, "event": "<ledger event>",
     "key": "<key id>", "signature": "<base64 of the Ed25519 signature over all of the above as canonical JSON>",
     "proof": {...}}

Once the event is sealed the receipt comes with the proof that it is in the log (`ledger.Proof.as_json`), under a
checkpoint of the same key. It is not signed with the rest: a later one, under a later checkpoint, serves as well.

Compatibility: a receipt made today verifies for good. Fields are added to `statement`, never renamed or given a new
meaning; a change of the frame or of the signed bytes raises `VERSION`, and old versions stay readable here.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, ledger
from gatekeeper.kit.canonical import canonical_json, digest_of, sha256_hex
from gatekeeper.kit.signing import SigningKey, verify_signature
from gatekeeper.ledger import offline

VERSION = 1
ACCEPTANCE = "gatekeeper-acceptance"
IMAGE = "gatekeeper-image"
EVALUATION = "gatekeeper-evaluation"
MAX_RECEIPT_BYTES = 16 * 2**20  # of a report with its body

_PROOF = "proof"
_FRAME = frozenset({"format", "version", "statement", "event", "key", "signature"})
_REPORT = frozenset({"receipt", "body"})  # with further fields beside them
_REQUIRED = {
    ACCEPTANCE: frozenset(
        {"receipt_id", "repository", "commit", "person", "texts", "bundle_sha256", "method", "accepted_at"}
    ),
    IMAGE: frozenset({"receipt_id", "repository", "commit", "image_sha256", "weights", "seed", "made_at"}),
    EVALUATION: frozenset(
        {"receipt_id", "repository", "commit", "manifest_sha256", "grid", "seeds", "figures", "body_sha256", "made_at"}
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a receipt is genuine. `problem` says in one sentence what is wrong, empty when nothing is.

    number  of its event in the log, where the receipt proves that it is there
    """

    is_valid: bool
    problem: str
    format: str = ""
    statement: dict[str, Any] | None = None
    number: int | None = None


def key_id(public: bytes) -> str:
    """Short name of a public key: the first 16 hex digits of its SHA-256."""
    return sha256_hex(public)[:16]


def sign_receipt(format: str, statement: dict[str, Any], *, event: str, key: SigningKey) -> dict[str, Any]:
    """The complete receipt for a statement."""
    unsigned = {
        "format": format,
        "version": VERSION,
        "statement": statement,
        "event": event,
        "key": key_id(key.public),
    }
    return {**unsigned, "signature": base64.b64encode(key.sign(canonical_json(unsigned))).decode()}


async def with_proof(session: AsyncSession, receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt with the proof that its event is in the log; as it is while the event waits to be sealed."""
    try:
        proof = await ledger.prove(session, receipt["event"])
    except (errors.NotFound, errors.Conflict):
        return receipt
    return {**receipt, "proof": proof.as_json()}


def verify_receipt(receipt: Any, public: bytes) -> Verdict:
    """Check a receipt, or a report with the receipt in it, offline.

    Pure: needs no database and no network, and never raises for a bad receipt.
    """
    if isinstance(receipt, dict) and set(receipt) >= _REPORT:
        return _verify_report(receipt, public)
    return _verify_one(receipt, public)


def _verify_report(report: dict[str, Any], public: bytes) -> Verdict:
    """A report is genuine where its receipt is and its body is the one that the receipt names."""
    verdict = _verify_one(report["receipt"], public)
    if verdict.statement is None:
        return verdict
    try:
        is_its_own = verdict.statement.get("body_sha256") == digest_of(report["body"])
    except (ValueError, TypeError, RecursionError):
        is_its_own = False
    if is_its_own:
        return verdict
    return Verdict(False, "The report is not the one that was signed: its body was changed.", verdict.format)


def _verify_one(receipt: Any, public: bytes) -> Verdict:
    if not isinstance(receipt, dict) or set(receipt) - {_PROOF} != _FRAME or not isinstance(receipt["statement"], dict):
        return Verdict(False, f"This is not a receipt: it must have exactly the fields {', '.join(sorted(_FRAME))}.")
    format = receipt["format"]
    if format not in _REQUIRED or receipt["version"] != VERSION or isinstance(receipt["version"], bool):
        return Verdict(False, "The receipt's format or version is unknown to this program; use a newer one.")
    if not (isinstance(receipt["event"], str) and isinstance(receipt["signature"], str)):
        return Verdict(False, "The receipt's event and signature must be text.", format)
    if receipt["key"] != key_id(public):
        return Verdict(
            False,
            f"The receipt names the signing key {str(receipt['key'])[:64]}; the key given is {key_id(public)}.",
            format,
        )
    try:
        signature = base64.b64decode(receipt["signature"], validate=True)
        message = canonical_json({name: value for name, value in receipt.items() if name not in ("signature", _PROOF)})
    except (binascii.Error, ValueError, TypeError, RecursionError):
        return Verdict(False, "The receipt is damaged: it cannot be put into the form that was signed.", format)
    # base64 can write the same bytes in several ways; only the usual one is ours, so that no byte can be changed unseen
    if base64.b64encode(signature).decode() != receipt["signature"] or not verify_signature(public, message, signature):
        return Verdict(
            False, "The signature does not fit: the receipt was changed, or was not made by this hub.", format
        )
    missing = _REQUIRED[format] - set(receipt["statement"])
    if missing:
        return Verdict(False, f"The receipt is signed but lacks {', '.join(sorted(missing))}.", format)
    if _PROOF not in receipt:
        return Verdict(True, "", format, receipt["statement"])
    number = _proven_number(receipt, public)
    if number is None:
        return Verdict(False, "The proof does not show that the receipt's event is in this hub's log.", format)
    return Verdict(True, "", format, receipt["statement"], number)


def _proven_number(receipt: dict[str, Any], public: bytes) -> int | None:
    """The number of the receipt's event in the log; None where the proof does not hold or is about something else."""
    given = receipt[_PROOF]
    try:
        proof = offline.read(canonical_json(given))
        if not isinstance(proof, ledger.Proof) or canonical_json(proof.as_json()) != canonical_json(given):
            return None
        event = json.loads(proof.leaf)
    except (errors.Invalid, ValueError, TypeError, RecursionError):
        return None
    statement = digest_of(receipt["statement"])
    is_its_own = event.get("id") == receipt["event"] and statement in proof.leaf.decode()
    return proof.number if is_its_own and proof.holds(public) else None


def read_receipt(data: bytes) -> dict[str, Any]:
    """The receipt in a file. Raises Invalid, also for a name that appears twice: readers differ on which counts."""
    if len(data) > MAX_RECEIPT_BYTES:
        raise errors.Invalid("The file is too large to be a receipt.", next_step="Choose the receipt's JSON file.")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as problem:
        raise errors.Invalid(
            f"The file is not a receipt: {problem}.", next_step="Download the receipt again from your receipts page."
        ) from problem
    if not isinstance(value, dict):
        raise errors.Invalid(
            "The file is not a receipt: it holds no JSON object.", next_step="Choose the receipt's JSON file."
        )
    return value


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name appears twice in one object")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
