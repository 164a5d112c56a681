"""Writing evidence: one unnumbered event in the caller's transaction."""

import json
import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.kit.canonical import canonical_json
from gatekeeper.ledger.tables import LedgerEvent
from gatekeeper.ledger.work import present

_KIND = re.compile(r"[a-z0-9_-]+:[a-z0-9_-]+:[a-z0-9_-]+", re.ASCII)


async def record(
    session: AsyncSession,
    kind: str,
    *,
    actor: str | None = None,
    token: str | None = None,
    repo: str | None = None,
    subject: str | None = None,
    body: dict[str, Any] | None = None,
    policy: str | None = None,
) -> LedgerEvent:
    """Add evidence of an act to the caller's transaction: both are kept, or neither.

    kind     `source:subject:action`, as in `access:request:submit`
    actor    id of the person who acted, None for the operator or the system
    subject  id of what was acted on
    body     facts of the act: ids and digests, never names, addresses, prompts or secrets
    policy   digest of the policy bundle that allowed it, where that is not the one that is acted under here

    Nothing is flushed. The event gets its number when the sealer next runs.
    Raises ValueError or TypeError when the kind or the body could not be sealed later.
    """
    check_kind(kind)
    stored = json.loads(canonical_json(body or {}))  # what is stored is what will be hashed, instants as text
    event = LedgerEvent(
        **fields(kind, actor=actor, token=token, repo=repo, subject=subject, body=stored, policy=policy)
    )
    session.add(event)
    return event


def fields(
    kind: str,
    *,
    actor: str | None = None,
    token: str | None = None,
    repo: str | None = None,
    subject: str | None = None,
    body: dict[str, Any] | None = None,
    policy: str | None = None,
) -> dict[str, Any]:
    """An event as its columns, with what is common to all that happens here: for the `EvidenceWriter`."""
    work = present()
    return {
        "kind": kind,
        "actor_id": actor,
        "token_id": token,
        "repo_id": repo,
        "subject_id": subject,
        "policy_sha256": policy or work.policy(),
        "door": work.door,
        "credential": work.credential,
        "body": body or {},
    }


def check_kind(kind: str) -> None:
    """Raise ValueError unless `kind` reads `source:subject:action`."""
    if len(kind) > 80 or not _KIND.fullmatch(kind):
        raise ValueError(f"an event's kind reads source:subject:action, not {kind!r}")
