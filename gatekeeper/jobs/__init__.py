"""The transactional outbox: work that a committed act has promised, done at least once by `gatekeeper.worker`.

A verb calls `enqueue` in its own transaction, so there is never a mail about an act that was rolled back, nor an act
whose mail was forgotten.
"""

from gatekeeper.jobs.outbox import (
    LEASE_SECONDS,
    MOST_ATTEMPTS,
    Backlog,
    backlog,
    claim,
    clean_up,
    dismiss,
    enqueue,
    finish,
    is_due,
    retry,
    try_again,
)
from gatekeeper.jobs.tables import Job

__all__ = [
    "LEASE_SECONDS",
    "MOST_ATTEMPTS",
    "Backlog",
    "Job",
    "backlog",
    "claim",
    "clean_up",
    "dismiss",
    "enqueue",
    "finish",
    "is_due",
    "retry",
    "try_again",
]
