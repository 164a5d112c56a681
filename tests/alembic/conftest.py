"""Fixtures for tests of migrations.

anyio_backend   asyncio
database        an empty database, not migrated: SQLite, and PostgreSQL where GATEKEEPER_TEST_POSTGRES_URL names one
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.db import Database

POSTGRES = os.environ.get("GATEKEEPER_TEST_POSTGRES_URL", "")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite3'}")
    elif POSTGRES:
        database = Database(POSTGRES)
        async with database.engine.begin() as connection:
            await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            await connection.execute(sa.text("CREATE SCHEMA public"))
    else:
        pytest.skip("set GATEKEEPER_TEST_POSTGRES_URL to an empty database, postgresql+psycopg://...")
    yield database
    await database.close()
