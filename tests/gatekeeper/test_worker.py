"""The worker: jobs are handled, failures are survived, recurring tasks go on."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper import jobs, worker
from gatekeeper.accounts import people
from gatekeeper.accounts.tables import SignInAttempt
from gatekeeper.db import Database
from gatekeeper.generation import ImageFolder

pytestmark = pytest.mark.anyio


async def test_a_handler_gets_the_payload_and_the_job_is_done(database: Database) -> None:
    seen = []

    async def handle(payload: dict) -> None:
        seen.append(payload)

    async with database.write() as session:
        await jobs.enqueue(session, "tests:work", {"n": 1})
    assert await worker.work_once(database, {"tests:work": handle})
    assert not await worker.work_once(database, {"tests:work": handle})
    assert seen == [{"n": 1}]


async def test_a_failing_job_is_kept_for_later_with_its_reason(database: Database) -> None:
    async def handle(payload: dict) -> None:
        raise OSError("no route")

    async with database.write() as session:
        await jobs.enqueue(session, "tests:work", {})
    assert await worker.work_once(database, {"tests:work": handle})
    async with database.read() as session:
        job = (await session.scalars(sa.select(jobs.Job))).one()
    assert job.error == "OSError: no route"
    assert job.finished_at is None


async def test_a_recurring_task_survives_its_failures() -> None:
    calls = []

    async def task() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError

    running = asyncio.create_task(worker.every(0.001, task))
    while len(calls) < 3:
        await asyncio.sleep(0.001)
    running.cancel()


async def test_work_goes_on_while_jobs_come(database: Database) -> None:
    done = asyncio.Event()

    async def handle(payload: dict) -> None:
        if payload["n"] == 2:
            done.set()

    running = asyncio.create_task(worker.work(database, {"tests:work": handle}))
    async with database.write() as session:
        for number in range(3):
            await jobs.enqueue(session, "tests:work", {"n": number})
    await asyncio.wait_for(done.wait(), 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_cleaning_up_leaves_what_still_counts(database: Database, tmp_path: Path) -> None:
    async with database.write() as session:
        await people.add(session, "ada", email="ada@example.org")
        session.add(SignInAttempt(name_hash="a", address_hash="b"))
    await worker.clean_up(database, ImageFolder(tmp_path))
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(SignInAttempt)) == 1
