"""The evidence writer: groups, durability, and what happens when the disk cannot take more."""

import asyncio
import sqlite3
import time

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.errors import Unavailable
from gatekeeper.kit.clock import now
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger import evidence, sinks
from gatekeeper.ledger.tables import LedgerEvent

pytestmark = pytest.mark.anyio
KEY = SigningKey(Ed25519PrivateKey.generate())
ROW = {"kind": "repos:file:download", "actor_id": "p" * 26, "repo_id": "r" * 26, "body": {"path": "é.bin", "n": 1}}


@pytest.fixture
def writer(database: Database):
    writer = ledger.EvidenceWriter(database)
    yield writer
    writer.close()


async def count(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(LedgerEvent))


async def until(condition, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_a_durable_row_is_there_when_the_call_returns(database: Database, writer) -> None:
    before = now()
    await writer.append_durably(ROW)
    async with database.read() as session:
        [event] = await session.scalars(sa.select(LedgerEvent))
    assert (event.kind, event.actor_id, event.body) == (ROW["kind"], ROW["actor_id"], ROW["body"])
    assert before <= event.occurred_at <= now()
    assert (len(event.id), event.number) == (26, None)


async def test_a_queued_row_arrives_soon(database: Database, writer) -> None:
    writer.append(ROW)

    async def arrived() -> bool:
        return await count(database) == 1

    await until(arrived)


async def test_many_at_once_share_commits_and_wake_the_loop_once_for_each(database, writer, monkeypatch) -> None:
    loop, wakes = asyncio.get_running_loop(), []
    threadsafe = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda call, *a: (wakes.append(call), threadsafe(call, *a))[1])
    await asyncio.gather(*(writer.append_durably(ROW) for _ in range(200)))
    assert wakes.count(evidence._tell) <= 3
    monkeypatch.undo()
    assert await count(database) == 200


async def test_rows_of_the_writer_are_sealed_and_verified_like_others(database: Database, writer) -> None:
    await asyncio.gather(*(writer.append_durably({**ROW, "body": {"n": n, "float": 0.1}}) for n in range(30)))
    assert await ledger.Sealer(database, KEY).seal() == 30
    async with database.read() as session:
        assert (await ledger.verify(session, KEY.public)).faults == []


async def test_closing_writes_what_is_waiting(database: Database) -> None:
    writer = ledger.EvidenceWriter(database)
    for _ in range(50):
        writer.append(ROW)
    writer.close()
    assert await count(database) == 50
    with pytest.raises(Unavailable):
        writer.append(ROW)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "download"},
        {"kind": "a:b:c", "body": {"x": float("nan")}},
        {"kind": "a:b:c", "body": {"x": "\ud800"}},
        {"kind": "a:b:c", "body": {"x": object()}},
        {"kind": "a:b:c", "actor_id": "\ud800"},
        {"kind": "a:b:c", "actor_id": "p" * 27},
        {"kind": "a:b:c", "subject_id": "nul\0"},
        {"kind": "a:b:c", "number": 7},
    ],
)
async def test_a_row_that_could_not_be_sealed_hurts_only_its_caller(database, writer, fields) -> None:
    good = asyncio.ensure_future(writer.append_durably(ROW))
    with pytest.raises((ValueError, TypeError)):
        await writer.append_durably(fields)
    with pytest.raises((ValueError, TypeError)):
        writer.append(fields)
    await good
    assert await count(database) == 1


async def test_a_caller_who_left_disturbs_nobody(database: Database, writer) -> None:
    gone = asyncio.ensure_future(writer.append_durably(ROW))
    await asyncio.sleep(0)
    gone.cancel()
    await writer.append_durably(ROW)
    assert writer.is_healthy


async def test_a_full_disk_refuses_those_who_wait_and_loses_no_queued_row(database, writer, monkeypatch) -> None:
    is_full = True
    write = sinks._SqliteSink.write

    def full(self, lines):
        if is_full:
            raise sqlite3.OperationalError("database or disk is full")
        write(self, lines)

    monkeypatch.setattr(sinks._SqliteSink, "write", full)
    monkeypatch.setattr(evidence, "_RETRY_SECONDS", 0.05)
    writer.append(ROW)
    with pytest.raises(Unavailable) as caught:
        await writer.append_durably(ROW)
    assert caught.value.next_step
    assert not writer.is_healthy
    with pytest.raises(Unavailable):
        writer.append(ROW)
    is_full = False

    async def healed() -> bool:
        return writer.is_healthy

    await until(healed)
    await writer.append_durably(ROW)
    assert await count(database) == 2


async def test_a_database_that_is_really_full_refuses(database: Database) -> None:
    writer = ledger.EvidenceWriter(database)
    await writer.append_durably(ROW)
    async with database.write() as session:
        pages = await session.scalar(sa.text("PRAGMA page_count"))
    original = sinks.connect_sqlite

    def small(path: str) -> sqlite3.Connection:
        connection = original(path)
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sinks, "connect_sqlite", small)
        tight = ledger.EvidenceWriter(database)
        big = {**ROW, "body": {"x": "y" * 100_000}}
        with pytest.raises(Unavailable):
            await tight.append_durably(big)
        await tight.append_durably(ROW)
        assert tight.is_healthy
        tight.close()
    writer.close()
    assert await count(database) == 2


async def test_the_queue_is_bounded(database: Database, writer, monkeypatch) -> None:
    monkeypatch.setattr(evidence, "_MOST_WAITING", 5)
    refused = 0
    for _ in range(100):
        try:
            writer.append(ROW)
        except Unavailable:
            refused += 1
    assert refused >= 90


def test_ids_of_a_group_rise_and_differ() -> None:
    ids = list(sinks._new_ids(3000))
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {26}
