"""Counts what the decision denies, in memory, and adds it up by day now and then: no request waits for that."""

from collections import Counter

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.clock import now
from gatekeeper.kit.days import by_day, last_days
from gatekeeper.transparency.tables import RefusalCount


async def denials_by_day(session: AsyncSession, days: int) -> list[tuple[str, int]]:
    """Refusals of the whole hub on each of the last `days`, as far as they were written down."""
    wanted = last_days(now(), days)
    rows = await session.execute(
        sa.select(col(RefusalCount.day), sa.func.sum(col(RefusalCount.total)))
        .where(col(RefusalCount.day) >= wanted[0])
        .group_by(col(RefusalCount.day))
    )
    return by_day(wanted, ((day, int(total)) for day, total in rows))


class Refusals:
    """Refusals since the last `write`. What is answered like something that is not there carries no code and no rule,
    and is not counted: the sums must not tell that it exists."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def saw(self, error: Exception) -> None:
        """Count an error if it is a denial of the decision."""
        if isinstance(error, GatekeeperError) and (code := error.details.get("denial")):
            self._counts[str(code), error.rules[0] if error.rules else ""] += 1

    async def write(self, database: Database) -> None:
        """Add what was counted to today's sums. Nothing is lost when that fails; it is tried again next time."""
        counted = self._counts.copy()
        if not counted:
            return
        insert = sqlite.insert(RefusalCount) if database.is_sqlite else postgresql.insert(RefusalCount)
        today = now().date()
        async with database.write() as session:
            await session.execute(
                insert.on_conflict_do_update(
                    index_elements=["day", "code", "rule"],
                    set_={"total": col(RefusalCount.total) + insert.excluded.total},
                ),
                [{"day": today, "code": code, "rule": rule, "total": n} for (code, rule), n in counted.items()],
            )
        self._counts -= counted
