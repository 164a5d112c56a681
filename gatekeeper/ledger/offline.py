"""Checking proofs away from the hub: with the public key, the proof's file, and perhaps a checkpoint that was kept."""

import json
import re
from dataclasses import dataclass

from gatekeeper.errors import Invalid
from gatekeeper.kit.note import Checkpoint, open_note, strict_base64
from gatekeeper.ledger.prove import GROWTH, PROOF, Growth, Proof

MOST_BYTES = 2**20
_TLOG = "c2sp.org/tlog-proof@v1\n"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Finding:
    """What a proof shows, or in one sentence why it shows nothing."""

    is_valid: bool
    text: str


def check(data: bytes, public: bytes, *, kept: str | None = None) -> Finding:
    """Check the file of an inclusion or a consistency proof.

    kept  a checkpoint that was kept elsewhere; a consistency proof is about it
    Raises Invalid for what is no proof at all.
    """
    proof = read(data)
    if isinstance(proof, Growth):
        if kept is None:
            raise Invalid("A proof of growth is about a kept checkpoint.", next_step="Give it with --checkpoint.")
        return _growth(proof, public, kept)
    if not proof.holds(public):
        return Finding(False, "The event is not under a checkpoint that this key signed.")
    return Finding(True, f"The event is number {proof.number} of the log.")


def read(data: bytes) -> Proof | Growth:
    """The proof in a file, of any of the forms in which they travel. Raises Invalid."""
    if len(data) > MOST_BYTES:
        raise _no_proof()
    try:
        text = data.decode()
        if text.startswith(_TLOG):
            return _tlog_proof(text)
        value = json.loads(text)
        hashes = tuple(_hash(line) for line in value["hashes"])
        match value["format"], value["version"]:
            case (name, 1) if name == PROOF:
                return Proof(_number(str(value["number"])), value["event"].encode(), hashes, str(value["checkpoint"]))
            case (name, 1) if name == GROWTH:
                sizes = _number(str(value["old_size"])), _number(str(value["new_size"]))
                return Growth(*sizes, hashes, str(value["checkpoint"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_proof() from error
    raise _no_proof()


def _growth(proof: Growth, public: bytes, kept: str) -> Finding:
    try:
        old = Checkpoint.parse(open_note(kept, public))
    except ValueError as error:
        return Finding(False, f"The kept checkpoint cannot be trusted: {error}.")
    if old.size != proof.old_size:
        return Finding(False, f"The proof is about {proof.old_size} events, the kept checkpoint about {old.size}.")
    if not proof.holds(public, old):
        return Finding(False, "The log did not grow from the kept checkpoint: its past was changed or cut off.")
    return Finding(True, f"The log of {proof.new_size} events begins with the {old.size} of the kept checkpoint.")


def _tlog_proof(text: str) -> Proof:
    head, blank, checkpoint = text.removeprefix(_TLOG).partition("\n\n")
    lines = head.split("\n")
    if not blank or not lines[0].startswith("extra "):
        raise ValueError("the event's own bytes are not in the proof")
    leaf = strict_base64(lines[0].removeprefix("extra "))
    if not lines[1].startswith("index "):
        raise ValueError("no index")
    return Proof(_number(lines[1].removeprefix("index ")), leaf, tuple(_hash(line) for line in lines[2:]), checkpoint)


def _hash(text: str) -> bytes:
    raw = strict_base64(text)
    if len(raw) != 32:
        raise ValueError("a hash has 32 bytes")
    return raw


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a number")
    return int(text)


def _no_proof() -> Invalid:
    return Invalid(
        "The file is no proof of this log.",
        next_step="Take one with `gatekeeper ledger prove`, or from /api/ledger/proofs as whoever may read the event.",
    )
