"""A sealed log for tests."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatekeeper import ledger
from gatekeeper.db import Database
from gatekeeper.kit.signing import SigningKey

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
ORIGIN = "hub.example.org/ledger"


async def grow(database: Database, count: int) -> list[str]:
    """`count` more events, sealed; returns their ids."""
    async with database.write() as session:
        events = [
            await ledger.record(session, "tests:thing:do", actor="p" * 26, subject=f"s{number}", body={"n": number})
            for number in range(count)
        ]
    await ledger.Sealer(database, KEY, origin=ORIGIN).seal()
    return [event.id for event in events]


async def head(database: Database) -> str:
    """The newest signed note."""
    async with database.read() as session:
        newest = await ledger.newest_checkpoint(session)
    assert newest is not None
    return newest.note
