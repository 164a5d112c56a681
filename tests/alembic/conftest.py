"""Fixtures for tests of migrations.

anyio_backend   asyncio
postgres_url    a real PostgreSQL: the one GATEKEEPER_TEST_POSTGRES_URL names, else one started for the session
database        an empty database, not migrated: SQLite and PostgreSQL
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.db import Database
from gatekeeper.kit.sealing import Box
from tests.postgres import running_postgres


def server_key() -> Box:
    return Box(bytes(32))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite3'}", personal=server_key)
    else:
        database = Database(request.getfixturevalue("postgres_url"), personal=server_key)
        async with database.engine.begin() as connection:
            await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            await connection.execute(sa.text("CREATE SCHEMA public"))
    yield database
    await database.close()
