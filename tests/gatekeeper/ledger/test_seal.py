"""Recording, sealing, proving and verifying."""

import asyncio
import json
import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.errors import Conflict, NotFound
from gatekeeper.kit.merkle import verify_consistency
from gatekeeper.kit.note import Checkpoint, open_note
from gatekeeper.kit.signing import SigningKey
from gatekeeper.ledger import seal
from gatekeeper.ledger.leaf import leaf_bytes
from gatekeeper.ledger.tables import LedgerEvent, LedgerNode

pytestmark = pytest.mark.anyio
KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
def sealer(database: Database) -> ledger.Sealer:
    return ledger.Sealer(database, KEY, origin="hub.example.org/ledger")


async def record(database: Database, count: int = 1) -> list[str]:
    async with database.write() as session:
        events = [
            await ledger.record(session, "tests:thing:do", actor="p" * 26, subject=f"s{number}", body={"n": number})
            for number in range(count)
        ]
    return [event.id for event in events]


async def verify(database: Database, **more) -> ledger.Report:
    async with database.read() as session:
        return await ledger.verify(session, KEY.public, **more)


async def test_an_event_is_kept_with_its_act_or_not_at_all(database: Database) -> None:
    async def act_that_fails() -> None:
        async with database.write() as session:
            await ledger.record(session, "tests:thing:do")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await act_that_fails()
    await record(database)
    async with database.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(LedgerEvent)) == 1


@pytest.mark.parametrize("kind", ["", "submit", "a:b", "A:b:c", "a:b:c:d", "a:b:c d", "a:b:" + "c" * 90])
async def test_a_kind_reads_source_subject_action(database: Database, kind: str) -> None:
    async with database.write() as session:
        with pytest.raises(ValueError):
            await ledger.record(session, kind)


@pytest.mark.parametrize("body", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}])
async def test_what_could_not_be_hashed_is_refused_at_once(database: Database, body) -> None:
    async with database.write() as session:
        with pytest.raises((ValueError, TypeError)):
            await ledger.record(session, "tests:thing:do", body=body)


async def test_an_event_of_before_doors_were_told_has_the_bytes_it_always_had() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    event = LedgerEvent(id="e", kind="tests:thing:do", occurred_at=at, actor_id="p", body={"n": 1})
    old = (
        b'{"actor":"p","at":"2026-01-02T00:00:00.000000Z","body":{"n":1},"id":"e","kind":"tests:thing:do","number":7,'
        b'"policy":null,"repo":null,"subject":null,"token":null}'
    )
    assert leaf_bytes(event, number=7) == old
    event.door, event.credential = "portal", "passkey"
    assert json.loads(leaf_bytes(event, number=7)) == json.loads(old) | {"door": "portal", "credential": "passkey"}


async def test_sealing_numbers_everything_and_signs_the_head(database: Database, sealer: ledger.Sealer) -> None:
    async with database.write() as session:
        await ledger.record(
            session, "tests:thing:do", body={"at": datetime(2026, 1, 2, tzinfo=UTC), "é": "\0", "f": 0.1}
        )
    await record(database, 4)
    assert await sealer.seal() == 5
    assert await sealer.seal() == 0
    await record(database, 2)
    assert await sealer.seal() == 2
    report = await verify(database)
    assert report.faults == []
    assert (report.size, report.checkpoints, report.pending) == (7, 2, 0)
    async with database.read() as session:
        head = await ledger.newest_checkpoint(session)
        numbers = list(await session.scalars(sa.select(LedgerEvent.number).order_by(LedgerEvent.occurred_at)))
    assert Checkpoint.parse(open_note(head.note, KEY.public)).root == report.root
    assert numbers == list(range(7))


async def test_a_long_backlog_is_sealed_in_batches(database: Database, sealer: ledger.Sealer, monkeypatch) -> None:
    monkeypatch.setattr(seal, "_BATCH", 4)
    await record(database, 10)
    assert await sealer.seal() == 10
    report = await verify(database)
    assert (report.faults, report.size, report.checkpoints) == ([], 10, 3)


async def test_a_busy_server_seals_a_part_at_a_time(database: Database, sealer: ledger.Sealer, monkeypatch) -> None:
    monkeypatch.setattr(seal, "_BATCH", 2)
    await record(database, 7)
    assert await sealer.seal(most=3) == 4
    assert (await verify(database)).pending == 3
    assert await sealer.seal() == 3


async def test_two_sealers_take_turns(database: Database, monkeypatch) -> None:
    monkeypatch.setattr(seal, "_BATCH", 3)
    await record(database, 20)
    sealed = await asyncio.gather(*(ledger.Sealer(database, KEY).seal() for _ in range(3)))
    assert sum(sealed) == 20
    assert (await verify(database)).faults == []


async def test_pending_events_are_counted_and_not_yet_proved(database: Database, sealer: ledger.Sealer) -> None:
    [event_id] = await record(database)
    assert (await verify(database)).pending == 1
    async with database.read() as session:
        with pytest.raises(Conflict, match="not sealed yet"):
            await ledger.prove(session, event_id)
        with pytest.raises(NotFound):
            await ledger.prove(session, "nothing")


@pytest.mark.parametrize("count", [1, 2, 7, 16])
async def test_every_event_can_be_proved_without_the_database(database, sealer, count: int) -> None:
    ids = await record(database, count)
    await sealer.seal()
    async with database.read() as session:
        proofs = [await ledger.prove(session, event_id) for event_id in ids]
    assert all(proof.holds(KEY.public) for proof in proofs)
    assert not proofs[0].holds(b"x" * 32)
    changed = proofs[0].__class__(proofs[0].number, proofs[0].leaf + b" ", proofs[0].hashes, proofs[0].checkpoint)
    assert not changed.holds(KEY.public)
    assert proofs[0].as_json()["number"] == 0


async def test_the_log_proves_that_it_only_grew(database: Database, sealer: ledger.Sealer) -> None:
    heads = []
    for count in (3, 4):
        await record(database, count)
        await sealer.seal()
        heads.append((await verify(database)).root)
    async with database.read() as session:
        grown = await ledger.prove_from(session, 3)
        with pytest.raises(NotFound):
            await ledger.prove_from(session, 8)
    assert verify_consistency(3, 7, list(grown.hashes), *heads)


TAMPERING = {
    "a changed body": ("UPDATE ledger_event SET body = '{\"n\": 99}' WHERE number = 3", "event 3 .* was changed"),
    "another actor": ("UPDATE ledger_event SET actor_id = 'q' WHERE number = 3", "event 3 .* was changed"),
    "a changed instant": (
        "UPDATE ledger_event SET occurred_at = '2020-01-01 00:00:00.000001' WHERE number = 3",
        "event 3 .* was changed",
    ),
    "a changed hash": ("UPDATE ledger_event SET leaf_sha256 = 'aa' WHERE number = 3", "event 3 .* was changed"),
    "a deleted event": ("DELETE FROM ledger_event WHERE number = 3", "number 3 is missing"),
    "a deleted end": ("DELETE FROM ledger_event WHERE number >= 5", "the end was cut off"),
    "a changed subtree": (
        "UPDATE ledger_node SET sha256 = 'aa' WHERE level = 1 AND position = 0",
        "subtree 1/0 is not",
    ),
    "a deleted subtree": ("DELETE FROM ledger_node WHERE level = 2 AND position = 0", "subtree 2/0 is missing"),
    "an added subtree": ("INSERT INTO ledger_node VALUES (9, 9, 'aa')", "belong to no event"),
    "a changed root": (
        "UPDATE ledger_checkpoint SET root_sha256 = 'aa' WHERE size = 7",
        "something else than the note",
    ),
    "a changed note": ("UPDATE ledger_checkpoint SET note = replace(note, '/ledger', '/other')", "cannot be trusted"),
    "a deleted checkpoint": ("DELETE FROM ledger_checkpoint WHERE size = 7", "no signed checkpoint"),
    "swapped events": (
        "UPDATE ledger_event SET body = json_object('n', 4 - json_extract(body, '$.n')) WHERE number IN (1, 3)",
        "event 1 .* was changed",
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_is_found_and_located(database: Database, sealer: ledger.Sealer, how: str) -> None:
    await record(database, 5)
    await sealer.seal()
    await record(database, 2)
    await sealer.seal()
    statement, found = TAMPERING[how]
    await tamper(database, statement)
    report = await verify(database)
    assert not report.is_intact
    assert any(re.search(found, fault) for fault in report.faults), report.faults


NEWEST = {
    "UPDATE ledger_event SET body = '{}' WHERE number = 6": "event 6 .* was changed",
    "DELETE FROM ledger_event WHERE number = 6": "number 6 is missing",
    "DELETE FROM ledger_event WHERE number = 7": "does not lead to the checkpoint at 8",
    "UPDATE ledger_node SET sha256 = substr(sha256, 2) || 'a' WHERE level = 2 AND position = 0": "does not lead to",
    "DELETE FROM ledger_node WHERE level = 2 AND position = 0": "lacks the subtree 2/0",
    "UPDATE ledger_checkpoint SET note = 'x' WHERE size = 8": "cannot be checked",
    "UPDATE ledger_event SET body = '{}' WHERE number = 1": "",
}


@pytest.mark.parametrize(("statement", "found"), NEWEST.items())
async def test_the_newest_events_are_checked_against_the_signed_root_without_the_others(
    database: Database, sealer: ledger.Sealer, statement: str, found: str
) -> None:
    for _ in range(2):
        await record(database, 4)
        await sealer.seal()
    await tamper(database, statement)
    async with database.read() as session:
        report = await ledger.verify_newest(session, KEY.public, most=4)
    assert report.first == (4 if "note" not in statement else 0)
    assert report.is_intact is (not found), "what lies before was not looked at, and nobody says that it was"
    assert re.search(found, " ".join(report.faults))


async def test_a_forged_history_with_a_new_tree_fails_at_the_old_checkpoint(database, sealer) -> None:
    await record(database, 5)
    await sealer.seal()
    async with database.read() as session:
        kept = (await ledger.newest_checkpoint(session)).note
    await tamper(
        database,
        "UPDATE ledger_event SET actor_id = 'q' WHERE number = 3",
        "UPDATE ledger_event SET number = NULL, leaf_sha256 = NULL",
        "DELETE FROM ledger_node",
        "DELETE FROM ledger_checkpoint",
    )
    await sealer.seal()
    assert (await verify(database)).is_intact  # the operator has the key: only a checkpoint kept elsewhere tells
    report = await verify(database, kept=[kept])
    assert "kept checkpoint 1 has another root" in report.faults[0]


async def test_an_end_cut_off_with_its_checkpoints_is_found_by_a_kept_one(database, sealer) -> None:
    for _ in range(2):
        await record(database, 4)
        await sealer.seal()
    async with database.read() as session:
        kept = (await ledger.newest_checkpoint(session)).note
    await tamper(
        database,
        "DELETE FROM ledger_event WHERE number >= 4",
        "DELETE FROM ledger_checkpoint WHERE size > 4",
        "DELETE FROM ledger_node WHERE (position + 1) * (1 << level) > 4",
    )
    assert (await verify(database)).is_intact
    assert "the end was cut off" in (await verify(database, kept=[kept])).faults[0]


async def test_a_lost_subtree_gives_no_proof_instead_of_a_wrong_one(database, sealer) -> None:
    ids = await record(database, 4)
    await sealer.seal()
    await tamper(database, "DELETE FROM ledger_node WHERE level = 1")
    async with database.read() as session:
        with pytest.raises(Conflict, match="lacks the subtree"):
            await ledger.prove(session, ids[0])


async def test_the_list_is_read_in_pages_newest_first(database: Database) -> None:
    ids = await record(database, 5)
    async with database.read() as session:
        first = await ledger.events(session, limit=3, kind="tests:")
        second = await ledger.events(session, limit=3, after=first.after)
        assert await session.scalar(sa.select(sa.func.count()).select_from(LedgerNode)) == 0
        assert (await ledger.events(session, actor="nobody")).items == ()
        assert len((await ledger.events(session, subject="s2", actor="p" * 26)).items) == 1
    assert [event.id for event in first.items + second.items] == sorted(ids, reverse=True)
    assert second.after is None


async def tamper(database: Database, *statements: str) -> None:
    """Change the database as somebody with full access to its file would: guards are dropped first."""
    async with database.write() as session:
        triggers = list(await session.scalars(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")))
        for statement in [*(f"DROP TRIGGER {name}" for name in triggers), *statements]:
            await session.execute(sa.text(statement.replace(":", "\\:")))
