"""Counts what the decision denies, in memory, and adds it up by day now and then: no request waits for that."""

from collections import Counter
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from gatekeeper.db import Database
from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.clock import now
from gatekeeper.kit.days import by_day, last_days
from gatekeeper.transparency.tables import RefusalCount

# The policy that forbade it, or why none allowed it.
CAUSE = sa.case((col(RefusalCount.rule) == "", col(RefusalCount.code)), else_=col(RefusalCount.rule))


@dataclass(frozen=True, slots=True)
class Denials:
    """Refusals of some days, as far as they were written down: on each day, and by policy or else by code."""

    by_day: list[tuple[str, int]]
    by_cause: list[tuple[str, int]]


async def denials(session: AsyncSession, days: int, *, repos: "sa.Select[str] | None" = None) -> Denials:
    """Those of the last `days`: of the repositories with these ids, or of the whole hub."""
    wanted = last_days(now(), days)
    where = [col(RefusalCount.day) >= wanted[0]]
    if repos is not None:
        where.append(col(RefusalCount.repo_id).in_(repos))
    rows = await session.execute(
        sa.select(col(RefusalCount.day), CAUSE, sa.func.sum(col(RefusalCount.total)))
        .where(*where)
        .group_by(col(RefusalCount.day), CAUSE)
    )
    of_days, of_causes = Counter[date](), Counter[str]()
    for day, cause, total in rows:
        of_days[day] += int(total)
        of_causes[cause] += int(total)
    return Denials(by_day(wanted, of_days.items()), sorted(of_causes.items(), key=lambda each: (-each[1], each[0])))


class Refusals:
    """Refusals since the last `write`. What is answered like something that is not there carries no code and no rule,
    and is not counted: the sums must not tell that it exists."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def saw(self, error: GatekeeperError) -> None:
        """Count an error if it is a denial of the decision."""
        if code := error.details.get("denial"):
            self._counts[str(code), error.rules[0] if error.rules else "", error.repo_id] += 1

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
                    index_elements=["day", "code", "rule", "repo_id"],
                    set_={"total": col(RefusalCount.total) + insert.excluded.total},
                ),
                [
                    {"day": today, "code": code, "rule": rule, "repo_id": repo_id, "total": n}
                    for (code, rule, repo_id), n in counted.items()
                ],
            )
        self._counts -= counted
