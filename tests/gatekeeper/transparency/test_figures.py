"""What the report tells, and what it must not."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import errors, ledger, transparency
from gatekeeper.access import moves
from gatekeeper.access.tables import AccessRequest, AccessStep, RequestState
from gatekeeper.db import Database
from gatekeeper.generation import Generation, GenerationState, Strike, StrikeKind
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
        request = AccessRequest(
            repo_id=repo.id,
            person_id=person.person_id,
            state=RequestState.REJECTED,
            submitted_at=decided - timedelta(days=days),
            decided_at=decided,
            decided_by=person.person_id,
            reason_code="incomplete",
        )
        session.add(request)
        await session.flush()
        for act, at, before, after in (
            (moves.SUBMIT, request.submitted_at, RequestState.DRAFT, RequestState.IN_REVIEW),
            (moves.REJECT, decided, RequestState.IN_REVIEW, RequestState.REJECTED),
        ):
            taken = {"act": act.name, "at": at, "before": before, "after": after, "actor_id": person.person_id}
            session.add(AccessStep(request_id=request.id, **taken))
    await session.flush()


async def ordered(session: AsyncSession, repo: Repo, count: int, state: GenerationState, **more: object) -> None:
    """`count` orders that ended so."""
    for _ in range(count):
        person_id = (await make_person(session)).person_id
        facts = {"repo_id": repo.id, "commit_id": "a" * 40, "prompt_sha256": "b" * 64, "finished_at": AT}
        session.add(Generation(person_id=person_id, state=state, **facts, **more))
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
    waited = {month.month: month.waiting_days for month in report.months if month.waiting_days is not None}
    assert waited == {"2026-11": 2.0, "2026-09": 2.0}
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


async def test_orders_count_for_what_safety_did_with_people_s_own(session: AsyncSession) -> None:
    owner = await make_person(session)
    repo = (await make_repo(session, owner))[0]
    refused = GenerationState.REFUSED
    await ordered(session, repo, 6, GenerationState.DONE, image_sha256=["c" * 64])
    await ordered(session, repo, 7, refused, code="prompt_screened")
    await ordered(session, repo, 8, refused, code="prompt_unscreened")  # no check could be asked: nobody's prompt
    await ordered(session, repo, 9, refused, code="prompt_screened", is_evaluation=True)
    await ordered(session, repo, 9, GenerationState.DONE, image_sha256=["d" * 64], is_evaluation=True)
    for _ in range(5):
        flagged = {"kind": StrikeKind.IMAGE_FLAGGED, "reason": "A skull.", "struck_at": AT}
        session.add(Strike(person_id=owner.person_id, repo_id=repo.id, **flagged))
    await ledger.record(session, "releases:release:hold", actor=owner.person_id, repo=repo.id, subject="x", body={})
    session.add(RefusalCount(day=AT.date(), code="access_not_requested", rule="", total=12))
    report = await transparency.refresh(session, visible=EVERYTHING)
    last = report.months[-1]
    assert (last.images, last.images_refused, last.images_withheld, last.denied, last.held) == (6, 7, 5, 12, 1)
    assert report.order_refusals == (Share("prompt_screened", 7), Share("image_flagged", 5))
    assert await transparency.newest(session) == report


async def test_what_not_everybody_may_know_is_not_in_the_sums(session: AsyncSession) -> None:
    repo = (await make_repo(session, await make_person(session)))[0]
    await rejected(session, repo, 9, days=2)
    report = await transparency.refresh(session, visible=sa.false())
    assert report == Report(report.made_at, months=report.months)
    assert {month.rejected for month in report.months} == {0}


async def test_refusals_are_added_up_by_day_and_hidden_ones_never(database: Database) -> None:
    refusals = Refusals()
    refusal = errors.Gated("No.", rules=("needs-grant",), details={"denial": "access_not_requested"})
    elsewhere = errors.Gated("No.", details={"denial": "held"})
    refusal.repo_id, elsewhere.repo_id = "mine", "other"
    for each in (refusal, refusal, refusal, elsewhere, errors.RepoNotFound("Repository not found.")):
        refusals.saw(each)
    await refusals.write(database)
    refusals.saw(refusal)
    await refusals.write(database)
    await refusals.write(database)
    async with database.read() as session:
        rows = list(await session.scalars(sa.select(RefusalCount).order_by(sa.desc("total"))))
        whole = await transparency.denials(session, 2)
        mine = await transparency.denials(session, 2, repos=sa.select(sa.literal("mine")))
    assert [(row.day, row.code, row.rule, row.repo_id, row.total) for row in rows] == [
        (AT.date(), "access_not_requested", "needs-grant", "mine", 4),
        (AT.date(), "held", "", "other", 1),
    ]
    assert [count for _, count in whole.by_day] == [0, 5]
    assert whole.by_cause == [("needs-grant", 4), ("held", 1)]
    assert [count for _, count in mine.by_day] == [0, 4]
    assert mine.by_cause == [("needs-grant", 4)]
