"""The outbox: promised with the act, claimed by one, tried again, set aside at last."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from gatekeeper import jobs
from gatekeeper.db import Database
from gatekeeper.kit.clock import now

pytestmark = pytest.mark.anyio
KINDS = {"tests:work"}


async def put(database: Database, **more) -> jobs.Job:
    async with database.write() as session:
        return await jobs.enqueue(session, "tests:work", {"n": 1}, **more)


async def take(database: Database, **more) -> jobs.Job | None:
    async with database.write() as session:
        return await jobs.claim(session, KINDS, **more)


async def stored(database: Database) -> jobs.Job:
    async with database.read() as session:
        return (await session.scalars(sa.select(jobs.Job))).one()


async def test_a_job_is_promised_with_its_act_or_not_at_all(database: Database) -> None:
    async def act_that_fails() -> None:
        async with database.write() as session:
            await jobs.enqueue(session, "tests:work", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await act_that_fails()
    assert await take(database) is None
    await put(database)
    assert (await take(database)).payload == {"n": 1}


async def test_a_claimed_job_is_nobody_elses_until_the_lease_ends(database: Database) -> None:
    await put(database)
    first = await take(database, lease_seconds=60)
    assert await take(database) is None
    with time_machine.travel(now() + timedelta(seconds=61), tick=True):
        second = await take(database)
        assert second.id == first.id
        async with database.write() as session:
            assert not await jobs.finish(session, first)
            assert not await jobs.retry(session, first, "late")
            assert await jobs.finish(session, second)
    assert (await stored(database)).finished_at


async def test_a_job_waits_for_its_time_and_its_kind(database: Database) -> None:
    await put(database, run_at=now() + timedelta(hours=1))
    assert await take(database) is None
    with time_machine.travel(now() + timedelta(hours=2), tick=True):
        async with database.write() as session:
            assert not await jobs.is_due(session, {"tests:other"})
            assert await jobs.claim(session, {"tests:other"}) is None
            assert await jobs.is_due(session, KINDS)
            assert await jobs.claim(session, KINDS)


async def test_failures_pause_longer_each_time_and_end(database: Database) -> None:
    await put(database)
    pauses = []
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(jobs.MOST_ATTEMPTS):
            job = await take(database)
            async with database.write() as session:
                assert await jobs.retry(session, job, "no answer")
            after = await stored(database)
            pauses.append((after.run_at - now()).total_seconds())
            clock.shift(timedelta(hours=2))
        assert await take(database) is None
    assert pauses[:-1] == sorted(set(pauses[:-1]))
    assert after.failed_at
    assert after.error == "no answer"


async def test_a_job_that_kills_its_workers_is_set_aside(database: Database) -> None:
    await put(database)
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(jobs.MOST_ATTEMPTS):
            assert await take(database)
            clock.shift(timedelta(hours=1))
        assert await take(database) is None
    assert (await stored(database)).failed_at


async def test_finished_jobs_are_forgotten_and_failed_ones_kept(database: Database) -> None:
    for _ in range(2):
        await put(database)
    async with database.write() as session:
        done, failed = await jobs.claim(session, KINDS), await jobs.claim(session, KINDS)
        await jobs.finish(session, done)
        failed.failed_at = now()
    with time_machine.travel(now() + timedelta(days=31), tick=True):
        async with database.write() as session:
            await jobs.clean_up(session)
    assert (await stored(database)).id == failed.id


async def test_what_was_set_aside_is_tried_again_or_left_undone_for_good(database: Database) -> None:
    await put(database)
    async with database.write() as session:
        (await jobs.claim(session, KINDS)).failed_at = now()

    async with database.write() as session:
        assert await jobs.try_again(session, "tests:work") == 1
    again = await take(database)
    assert again.attempts == 1
    async with database.write() as session:
        (await session.get_one(jobs.Job, again.id)).failed_at = now()
    async with database.write() as session:
        assert await jobs.dismiss(session, "tests:work") == 1
        assert await jobs.dismiss(session, "tests:work") == 0
        assert await jobs.try_again(session, "tests:work") == 0
        assert (await jobs.backlog(session)).failed == ()
    assert await take(database) is None
