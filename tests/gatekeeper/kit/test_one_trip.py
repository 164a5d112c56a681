from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa

from gatekeeper.db import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite+aiosqlite:///{tmp_path / 'hub.sqlite'}")
    async with opened.write() as session:
        await session.execute(sa.text("CREATE TABLE fruit (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
        await session.execute(sa.text("INSERT INTO fruit (name) VALUES (:name)"), [{"name": n} for n in ("fig", "pea")])
    yield opened
    await opened.close()


async def test_a_statement_and_its_rows_take_one_trip(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    really: Any = aiosqlite.Connection._execute
    trips: list[Any] = []

    async def counted(self: Any, function: Any, *words: Any) -> Any:
        trips.append(function)
        return await really(self, function, *words)

    async with database.read() as session:
        await session.execute(sa.text("SELECT 1"))  # begins the transaction
        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
        rows = (await session.execute(sa.text("SELECT id, name FROM fruit ORDER BY id"))).all()
        assert [tuple(row) for row in rows] == [(1, "fig"), (2, "pea")]
        assert len(trips) == 1


async def test_what_a_statement_changed_is_known_after_it(database: Database) -> None:
    async with database.write() as session:
        changed: Any = await session.execute(sa.text("UPDATE fruit SET name = name || 's'"))
        assert changed.rowcount == 2
        returned = await session.execute(sa.text("INSERT INTO fruit (name) VALUES ('nut') RETURNING id"))
        assert returned.scalar_one() == 3


async def test_an_error_of_the_database_keeps_its_kind_and_the_connection_goes_on(database: Database) -> None:
    async with database.write() as session:
        with pytest.raises(sa.exc.IntegrityError):
            async with session.begin_nested():
                await session.execute(sa.text("INSERT INTO fruit (name) VALUES ('fig')"))
        assert (await session.execute(sa.text("SELECT count(*) FROM fruit"))).scalar_one() == 2
