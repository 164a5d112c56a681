"""Migrations: up, down, on filled tables; what the guards refuse; what the counter counts."""

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from gatekeeper import ledger, models, schema
from gatekeeper.db import Database
from gatekeeper.errors import Unavailable
from gatekeeper.kit.bundled import bundled_dir

pytestmark = pytest.mark.anyio


def loaded(name: str, path: Path) -> ModuleType:
    """A module that lies in no package."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_VERSIONS = bundled_dir("alembic") / "versions"
filled = loaded("filled", Path(__file__).with_name("filled.py"))
counting = [
    loaded(name, _VERSIONS / f"2026_11_22_{name}.py")
    for name in ("guards", "names_and_likes", "requests", "terms_changes", "limited_tokens", "teams")
]


@pytest.fixture
async def full(database: Database) -> AsyncIterator[Database]:
    """Migrated, with a row in every table."""
    await schema.upgrade(database)
    async with database.write() as session:
        await filled.fill(session)
    return database


async def run(database: Database, statement: str) -> int:
    async with database.write() as session:
        return (await session.execute(sa.text(statement))).rowcount


async def tables(database: Database) -> set[str]:
    async with database.engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names()))


async def test_models_and_migrations_agree(database: Database) -> None:
    await schema.upgrade(database)
    assert await schema.differences(database) == []
    assert await tables(database) == {*models.metadata.tables, "access_revision", "alembic_version"}


async def test_a_filled_database_goes_down_and_up_again(full: Database) -> None:
    await schema.downgrade(full, "2026_11_22_first_tables")
    kept = await tables(full) & set(models.metadata.tables)
    assert {"person", "repo", "access_grant", "ledger_event"} <= kept  # those of later migrations are gone
    async with full.write() as session:
        for table in (models.metadata.tables[name] for name in kept):
            assert await session.scalar(sa.select(sa.func.count()).select_from(table)) == 1, table.name
        await session.execute(sa.text("UPDATE ledger_node SET level = level"))  # the guards are gone
    await schema.upgrade(full)
    with pytest.raises(sa.exc.IntegrityError):
        await run(full, "UPDATE ledger_node SET level = level")
    await schema.downgrade(full, "base")
    assert await tables(full) == {"alembic_version"}
    await schema.upgrade(full)
    assert await schema.differences(full) == []


async def test_words_that_were_in_clear_are_sealed_and_opened_on_the_way_down(full: Database) -> None:
    async def stored() -> tuple[str, str]:
        async with full.read() as session:
            row = (await session.execute(sa.text("SELECT reason, CAST(fields AS TEXT) FROM access_request"))).one()
        return row[0], row[1]

    await schema.downgrade(full, "2026_11_22_privacy")
    assert await stored() == ("x", '{"a": "b"}')
    await schema.upgrade(full)
    assert not any(value in ("x", '{"a": "b"}') for value in await stored())
    async with full.read() as session:
        columns = models.metadata.tables["access_request"].columns
        assert (await session.execute(sa.select(columns["reason"], columns["fields"]))).one() == ("x", {"a": "b"})


async def test_upgrading_twice_changes_nothing(full: Database) -> None:
    assert await schema.upgrade(full) == await schema.upgrade(full)
    assert await schema.is_current(full)


async def test_an_old_or_newer_database_is_refused_with_what_to_do(database: Database) -> None:
    assert not await schema.is_current(database)
    with pytest.raises(Unavailable) as caught:
        await schema.require_current(database)
    assert "db upgrade" in caught.value.next_step
    await schema.upgrade(database)
    await schema.require_current(database)
    await run(database, "UPDATE alembic_version SET version_num = '2099_01_01_unknown'")
    with pytest.raises(Unavailable, match="newer version"):
        await schema.require_current(database)


async def test_a_migration_that_fails_leaves_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_config: object) -> None:
        raise RuntimeError

    def half(config, target):
        real(config, target)
        fail(config)

    real = schema.command.upgrade
    monkeypatch.setattr(schema.command, "upgrade", half)
    with pytest.raises(RuntimeError):
        await schema.upgrade(database)
    assert await tables(database) == set()


REFUSED = [
    "DELETE FROM ledger_event",
    "UPDATE ledger_event SET body = '{}'",
    "UPDATE ledger_event SET actor_id = NULL, number = 5",
    "UPDATE ledger_event SET door = 'y'",
    "UPDATE ledger_event SET credential = NULL",
    "UPDATE ledger_node SET sha256 = 'y'",
    "DELETE FROM ledger_node",
    "UPDATE ledger_checkpoint SET note = 'y'",
    "DELETE FROM ledger_checkpoint",
    "UPDATE license_text SET sha256 = 'y'",
    "UPDATE license_text SET title = 'y'",
    "UPDATE license_text SET body = 'y'",
    "DELETE FROM license_text",
    "UPDATE terms_change SET old_sha256 = NULL",
    "DELETE FROM terms_change",
    "UPDATE terms_bundle SET texts = '[]'",
    "DELETE FROM terms_bundle",
    "UPDATE presentation SET shown = 'y'",
    "UPDATE acceptance SET person_id = 'y'",
    "UPDATE acceptance SET receipt = '{}'",
    "UPDATE acceptance SET accepted_at = '2020-01-01'",
]


@pytest.mark.parametrize("statement", REFUSED)
async def test_evidence_refuses_to_be_changed(full: Database, statement: str) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await run(full, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE acceptance SET withdrawn_at = '2026-02-02'",
        "UPDATE ledger_event SET number = 0, leaf_sha256 = 'y'",
        "DELETE FROM acceptance",
    ],
)
async def test_what_has_to_change_can(full: Database, statement: str) -> None:
    assert await run(full, statement) == 1


async def test_a_sealed_event_never_changes_again(full: Database) -> None:
    await run(full, "UPDATE ledger_event SET number = 0, leaf_sha256 = 'y'")
    for statement in (
        "UPDATE ledger_event SET number = 1",
        "UPDATE ledger_event SET number = NULL",
        "UPDATE ledger_event SET leaf_sha256 = 'z'",
    ):
        with pytest.raises(sa.exc.IntegrityError, match="sealed"):
            await run(full, statement)


async def test_a_text_that_no_bundle_names_can_be_deleted(full: Database) -> None:
    copy = "INSERT INTO license_text SELECT 'y', canonical_sha256, license_id, title, language, body, added_at"
    await run(full, f"{copy} FROM license_text")
    assert await run(full, "DELETE FROM license_text WHERE sha256 = 'y'") == 1


async def test_every_change_that_a_decision_reads_is_counted(full: Database) -> None:
    for table in (table for revision_file in counting for table in revision_file.COUNTED):
        column = next(iter(models.metadata.tables[table].primary_key)).name
        column = {"acceptance": "withdrawn_at", "terms_change": "deadline_at"}.get(table, column)
        before = await revision(full)
        assert await run(full, f"UPDATE {table} SET {column} = {column}") == 1
        assert await revision(full) > before, table


async def test_deleting_and_inserting_are_counted_and_other_tables_are_not(full: Database) -> None:
    before = await revision(full)
    await run(full, "DELETE FROM access_grant")
    after_delete = await revision(full)
    assert after_delete > before
    insert = "INSERT INTO membership (id, organization_id, person_id, role, created_at) "
    await run(full, "DELETE FROM membership")
    between = await revision(full)
    await run(full, insert + "VALUES ('y', 'x', 'x', 'read', '2026-01-01')")
    assert await revision(full) > between
    settled = await revision(full)
    for table, column in (("token_use", "last_used_at"), ("repo_like", "liked_at"), ("download_count", "total")):
        await run(full, f"UPDATE {table} SET {column} = {column}")
    async with full.write() as session:
        await ledger.record(session, "tests:thing:do")
    assert await revision(full) == settled


async def test_a_change_that_is_rolled_back_is_not_counted(full: Database) -> None:
    async def change_and_fail() -> None:
        async with full.write() as session:
            await session.execute(sa.text("UPDATE person SET name = 'y'"))
            raise RuntimeError

    before = await revision(full)
    with pytest.raises(RuntimeError):
        await change_and_fail()
    assert await revision(full) == before


async def test_the_counter_has_one_row(full: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await run(full, "INSERT INTO access_revision (id, value) VALUES (2, 0)")


async def revision(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(sa.text("SELECT value FROM access_revision"))
