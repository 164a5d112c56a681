"""How long answers take: the public median of a repository, and the age of a request against its queue's target."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.access.rules import Rules
from gatekeeper.access.tables import AccessRequest

_MOST = 1_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Age:
    """How long a request has waited in whole days, and whether that is longer than its queue's target."""

    days: int
    service_days: int

    @property
    def is_overdue(self) -> bool:
        """Whether the answer is late."""
        return self.days >= self.service_days


def age(request: AccessRequest, rules: Rules, at: datetime) -> Age:
    """The age of the present round of a request."""
    since = request.waiting_since or request.submitted_at
    return Age(max(0, (at - since).days), rules.service_days(request.queue))


async def median_days(session: AsyncSession, repo_id: str, rules: Rules, *, at: datetime) -> int | None:
    """Median of days from asking to a person's decision, rounded up; None where too few people were answered lately.

    People count, not requests, so that the number never tells about one person.
    """
    rows = await session.execute(
        sa.select(col(AccessRequest.person_id), col(AccessRequest.submitted_at), col(AccessRequest.decided_at))
        .where(
            col(AccessRequest.repo_id) == repo_id,
            col(AccessRequest.decided_at) > at - timedelta(days=rules.median_days),
            col(AccessRequest.decided_by).is_not(None),
            col(AccessRequest.is_direct).is_(False),
        )
        .order_by(col(AccessRequest.decided_at).desc())
        .limit(_MOST)
    )
    waits: dict[str, timedelta] = {}
    for person_id, submitted_at, decided_at in rows:
        if decided_at is not None:
            waits.setdefault(person_id, decided_at - submitted_at)
    if len(waits) < rules.median_least:
        return None
    middle = median(wait.total_seconds() for wait in waits.values())
    return max(1, -(-int(middle) // int(_DAY.total_seconds())))
