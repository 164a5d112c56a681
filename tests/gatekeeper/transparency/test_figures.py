"""What the report tells, and what it must not."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, transparency
from gatekeeper.access.tables import AccessRequest, RequestState
from gatekeeper.db import Database
from gatekeeper.repos import Repo
from gatekeeper.transparency import Refusals, Report, Share
from gatekeeper.transparency.tables import RefusalCount
from tests.gatekeeper.licensing.builders import make_person, make_repo

pytestmark = pytest.mark.anyio
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
EVERYTHING = sa.true()


@pytest.fixture(autouse=True)
def clock(time_machine: object) -> None:
    time_machine.move_to(AT, tick=False)  # type: ignore[attr-defined]


async def rejected(session: AsyncSession, repo: Repo, count: int, *, days: int, months_ago: int = 0) -> None:
    """`count` requests of as many people, decided after `days`."""
    decided = AT - timedelta(days=30 * months_ago)
    for _ in range(count):
        person = await make_person(session)
        session.add(
            AccessRequest(
                repo_id=repo.id,
                person_id=person.person_id,
                state=RequestState.REJECTED,
                submitted_at=decided - timedelta(days=days),
                decided_at=decided,
                decided_by=person.person_id,
                reason_code="incomplete",
            )
        )
    await session.flush()


async def test_requests_are_summed_by_month_with_the_days_people_waited(session: AsyncSession) -> None:
    repo = (await make_repo(session, await make_person(session)))[0]
    await rejected(session, repo, 9, days=2)
    await rejected(session, repo, 1, days=12)
    await rejected(session, repo, 6, days=2, months_ago=2)
    report = await transparency.refresh(session, visible=EVERYTHING)
    assert [month.month for month in report.months][-1] == "2026-11"
    assert len(report.months) == 12
    assert {month.month: month.rejected for month in report.months if month.rejected} == {"2026-11": 10, "2026-09": 6}
    assert report.waiting_days == (2.0, 2.0)
    assert report.rejections == (Share("incomplete", 16),)
    assert await transparency.newest(session) == report


async def test_a_number_that_could_point_at_a_person_is_not_told(session: AsyncSession) -> None:
    repo = (await make_repo(session, await make_person(session)))[0]
    await rejected(session, repo, 4, days=2)
    report = await transparency.refresh(session, visible=EVERYTHING)
    assert report.months[-1].rejected is None
    assert report.months[-2].rejected == 0
    assert report.rejections == (Share("incomplete", None),)
    assert report.waiting_days is None


async def test_what_not_everybody_may_know_is_not_in_the_sums(session: AsyncSession) -> None:
    repo = (await make_repo(session, await make_person(session)))[0]
    await rejected(session, repo, 9, days=2)
    report = await transparency.refresh(session, visible=sa.false())
    assert report == Report(report.made_at, months=report.months)
    assert {month.rejected for month in report.months} == {0}


async def test_refusals_are_added_up_by_day_and_hidden_ones_never(database: Database) -> None:
    refusals = Refusals()
    for _ in range(3):
        refusals.saw(errors.Gated("No.", rules=("needs-grant",), details={"denial": "access_not_requested"}))
    refusals.saw(errors.RepoNotFound("Repository not found."))
    refusals.saw(ValueError("no refusal"))
    await refusals.write(database)
    refusals.saw(errors.Gated("No.", rules=("needs-grant",), details={"denial": "access_not_requested"}))
    await refusals.write(database)
    await refusals.write(database)
    async with database.read() as session:
        rows = list(await session.scalars(sa.select(RefusalCount)))
    assert [(row.day, row.code, row.rule, row.total) for row in rows] == [
        (AT.date(), "access_not_requested", "needs-grant", 4)
    ]
