"""Writing evidence: one unnumbered event in the caller's transaction."""

import json
import re
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper.kit.canonical import canonical_json
from gatekeeper.ledger.tables import LedgerEvent

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
    policy   digest of the policy bundle that allowed it

    Nothing is flushed. The event gets its number when the sealer next runs.
    Raises ValueError or TypeError when the kind or the body could not be sealed later.
    """
    check_kind(kind)
    event = LedgerEvent(
        kind=kind,
        actor_id=actor,
        token_id=token,
        repo_id=repo,
        subject_id=subject,
        policy_sha256=policy,
        body=json.loads(canonical_json(body or {})),  # what is stored is what will be hashed, instants as text
    )
    session.add(event)
    return event


def check_kind(kind: str) -> None:
    """Raise ValueError unless `kind` reads `source:subject:action`."""
    if len(kind) > 80 or not _KIND.fullmatch(kind):
        raise ValueError(f"an event's kind reads source:subject:action, not {kind!r}")
