"""Fixtures for tests of the rooms.

template          a migrated, empty database, made once; tests copy it
database          a fresh database with the real schema, guards and all, one per test
session           a write session on it, committed at the end
cheap_passwords   argon2's cheapest profile, for every test
anyio_backend     asyncio
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher, profiles
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import schema
from gatekeeper.accounts import passwords
from gatekeeper.db import Database
from gatekeeper.ledger import KINDS, LedgerEvent


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return schema.make_template(tmp_path_factory.mktemp("template") / "template.sqlite3")


@pytest.fixture
async def database(template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    database = schema.copy_template(template, tmp_path / "test.sqlite3")
    yield database
    await database.close()


@pytest.fixture
async def session(database: Database) -> AsyncIterator[AsyncSession]:
    async with database.write() as session:
        yield session


@sa.event.listens_for(LedgerEvent, "before_insert")
def _whole_events_only(_mapper: object, _connection: object, event: LedgerEvent) -> None:
    """Whatever a test makes happen: the list of kinds knows it, and what comes by a door says under which policies."""
    assert event.kind in KINDS or event.kind.startswith("tests:"), event.kind
    assert event.door is None or event.policy_sha256, f"{event.kind} came by {event.door} and names no policies"


@pytest.fixture(autouse=True)
def cheap_passwords() -> Iterator[None]:
    before = passwords.current_hasher()
    passwords.use_hasher(PasswordHasher.from_parameters(profiles.CHEAPEST))
    yield
    passwords.use_hasher(before)
