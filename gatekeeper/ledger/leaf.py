"""The bytes of an event that are hashed."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper.kit.canonical import canonical_json
from gatekeeper.ledger.tables import LedgerEvent

# What a leaf is made of, read as plain rows: a thousand ORM objects would cost more than all the hashing.
LEAF_COLUMNS = (
    col(LedgerEvent.id),
    col(LedgerEvent.number),
    col(LedgerEvent.kind),
    col(LedgerEvent.occurred_at),
    col(LedgerEvent.actor_id),
    col(LedgerEvent.token_id),
    col(LedgerEvent.repo_id),
    col(LedgerEvent.subject_id),
    col(LedgerEvent.policy_sha256),
    col(LedgerEvent.door),
    col(LedgerEvent.credential),
    col(LedgerEvent.body),
)


def leaf_bytes(event: "LedgerEvent | sa.Row[Any]", *, number: int) -> bytes:
    """Canonical JSON of everything that event `number` says.

    Compatibility: hashes of sealed events must verify for good. Fields are never renamed or dropped here; a new column
    is added only where it is not None, so that older events keep their bytes.
    """
    later = {"credential": event.credential, "door": event.door}
    return canonical_json(
        {
            "actor": event.actor_id,
            "at": _microseconds(event.occurred_at),
            "body": event.body,
            "id": event.id,
            "kind": event.kind,
            "number": number,
            "policy": event.policy_sha256,
            "repo": event.repo_id,
            "subject": event.subject_id,
            "token": event.token_id,
        }
        | {name: value for name, value in later.items() if value is not None}
    )


def _microseconds(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # as stored, so that no digit goes unprotected
