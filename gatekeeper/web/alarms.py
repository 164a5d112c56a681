"""Evaluations of policies that failed: told to those who run the hub, since everybody is refused by them."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from gatekeeper import notices
from gatekeeper.accounts import Person
from gatekeeper.db import Database
from gatekeeper.kit.clock import now

_RECENT = timedelta(hours=24)


class PolicyAlarms:
    """What one process saw since it started. `raised` is called in the middle of a decision, by any thread."""

    def __init__(self) -> None:
        self.count = 0
        self._at: datetime | None = None
        self._action = ""
        self._told = 0

    @property
    def is_recent(self) -> bool:
        """Whether one was raised within a day."""
        return self._at is not None and now() - self._at < _RECENT

    def raised(self, facts: dict[str, Any]) -> None:
        """An evaluation failed; its facts are in the log already."""
        self.count += 1
        self._at, self._action = now(), facts["action"]

    async def tell(self, database: Database) -> None:
        """Leave notices about what was raised since the last time: of all processes together one an hour."""
        seen, at = self.count, self._at
        if at is None or seen == self._told:
            return
        admins = sa.select(col(Person.id)).where(col(Person.is_admin).is_(True), col(Person.is_disabled).is_(False))
        async with database.write() as session:
            for person_id in await session.scalars(admins):
                key = f"policy-error/{at:%Y-%m-%dT%H}"
                await notices.tell(session, person_id, "policy-error", event=key, action=self._action)
        self._told = seen
