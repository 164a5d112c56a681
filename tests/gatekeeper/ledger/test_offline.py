"""Proofs checked with the public key alone: they hold as they are, and with any changed byte they do not."""

import json

import pytest

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.errors import Invalid, NotFound
from gatekeeper.ledger import offline
from tests.gatekeeper.ledger.logs import KEY, grow, head

pytestmark = pytest.mark.anyio


async def test_any_changed_byte_of_an_inclusion_proof_is_found(database: Database) -> None:
    ids = await grow(database, 7)
    async with database.read() as session:
        proof = await ledger.prove(session, ids[4])
    for data in (proof.as_text(with_event=True).encode(), json.dumps(proof.as_json()).encode()):
        assert offline.check(data, KEY.public) == offline.Finding(True, "The event is number 4 of the log.")
        for position in range(len(data)):
            changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
            assert not _holds(changed), position


def _holds(data: bytes, kept: str | None = None) -> bool:
    try:
        return offline.check(data, KEY.public, kept=kept).is_valid
    except Invalid:
        return False


async def test_growth_is_proved_from_a_kept_checkpoint_only(database: Database) -> None:
    await grow(database, 5)
    kept = await head(database)
    await grow(database, 6)
    async with database.read() as session:
        growth = await ledger.prove_from(session, 5)
    data = json.dumps(growth.as_json()).encode()
    assert _holds(data, kept)
    with pytest.raises(Invalid):
        offline.check(data, KEY.public)
    assert not _holds(data, await head(database))
    assert not _holds(data, kept.replace("\n5\n", "\n4\n"))
    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        assert not _holds(changed, kept), position


async def test_a_note_that_a_witness_signed_too_is_a_kept_checkpoint(database: Database) -> None:
    await grow(database, 3)
    kept = await head(database) + "— witness.example bm90IG91cnM=\n"
    await grow(database, 1)
    async with database.read() as session:
        data = json.dumps((await ledger.prove_from(session, 3)).as_json()).encode()
        assert (await ledger.verify(session, KEY.public, kept=[kept])).is_intact
    assert _holds(data, kept)


async def test_a_log_that_is_shorter_than_the_kept_one_proves_nothing(database: Database) -> None:
    await grow(database, 3)
    async with database.read() as session:
        with pytest.raises(NotFound, match="does not have 4 signed events"):
            await ledger.prove_from(session, 4)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b"c2sp.org/tlog-proof@v1\n", b"[" * 100_000, b" " * 2**21]
)
def test_what_is_no_proof_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(Invalid, match="no proof of this log"):
        offline.check(data, KEY.public)
