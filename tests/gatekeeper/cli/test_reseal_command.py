"""`gatekeeper db reseal`: another key, and nothing that it sealed is lost."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from sqlmodel import SQLModel, col

from gatekeeper import notices
from gatekeeper.accounts import people
from gatekeeper.accounts.factors.tables import Totp
from gatekeeper.accounts.personal_keys import key_of
from gatekeeper.cli import resealing
from gatekeeper.cli.main import main
from gatekeeper.db import Database
from gatekeeper.jobs.tables import Job
from gatekeeper.kit.sealing import Box
from gatekeeper.privacy.resealing import PURPOSES

WORDS = "what ada wrote"


def opened(root: Path) -> tuple[Database, Box]:
    box = Box((root / "keys" / "sealing.key").read_bytes())
    return Database(f"sqlite+aiosqlite:///{root / 'gatekeeper.sqlite3'}", personal=lambda: box), box


async def fill(root: Path) -> str:
    """A person's own key, an app and a mail that waits; returns words under that key, as they are stored."""
    database, box = opened(root)
    async with database.write() as session:
        ada = await people.find(session, "ada")
        assert ada is not None
        stored = (await key_of(session, ada.id)).seal(WORDS)
        session.add(Totp(person_id=ada.id, sealed=box.seal("JBSWY3DP", purpose=f"totp {ada.id}")))
        await notices.mail(session, "ada@example.org", "Hello", "Hello $name", {"name": "ada"}, box=box)
    await database.close()
    return stored


async def read(root: Path, stored: str) -> tuple[str, str, str]:
    database, box = opened(root)
    async with database.read() as session:
        ada = await people.find(session, "ada")
        assert ada is not None
        app = await session.get_one(Totp, ada.id)
        job = (await session.scalars(sa.select(Job).where(col(Job.kind) == notices.MAIL))).one()
        found = (
            (await key_of(session, ada.id)).open(stored),
            box.open(app.sealed, purpose=f"totp {ada.id}"),
            json.loads(box.open(job.payload["sealed"], purpose=f"mail {job.payload['id']}"))["text"],
        )
    await database.close()
    return found


@pytest.fixture
def root(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a hub in which ada has an account."""
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    shutil.copyfile(template, tmp_path / "gatekeeper.sqlite3")
    CliRunner().invoke(main, ["people", "add", "ada", "--email", "ada@example.org"], catch_exceptions=False)
    return tmp_path


def test_another_sealing_key_opens_what_the_old_one_sealed(root: Path) -> None:
    stored, before = asyncio.run(fill(root)), (root / "keys" / "sealing.key").read_bytes()

    done = CliRunner().invoke(main, ["db", "reseal", "--json"])

    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["sealed"] == {"personal_key": 1, "totp": 1, "job": 1}
    assert (root / "keys" / "sealing.key").read_bytes() != before == Path(told["old_key"]).read_bytes()
    assert asyncio.run(read(root, stored)) == (WORDS, "JBSWY3DP", "Hello ada")


def test_a_key_that_does_not_fit_changes_nothing(root: Path) -> None:
    asyncio.run(fill(root))
    (root / "keys" / "sealing.key").write_bytes(bytes(32))
    refused = CliRunner().invoke(main, ["db", "reseal"])
    assert (refused.exit_code, "Put the sealing key back" in refused.output) == (1, True), refused.output
    assert (root / "keys" / "sealing.key").read_bytes() == bytes(32)
    assert list((root / "keys").glob("sealing-*")) == []


def test_a_command_that_is_cut_off_leaves_both_keys(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = asyncio.run(fill(root))

    def write(path: Path, content: bytes) -> None:
        if path.name == "sealing.key":
            raise KeyboardInterrupt
        path.write_bytes(content)

    monkeypatch.setattr(resealing, "replace_secret_file", write)
    assert CliRunner().invoke(main, ["db", "reseal"]).exit_code == 1

    (coming,) = (root / "keys").glob("sealing-since-*")
    coming.replace(root / "keys" / "sealing.key")
    assert asyncio.run(read(root, stored)) == (WORDS, "JBSWY3DP", "Hello ada")


def test_everything_that_the_database_holds_sealed_is_sealed_again() -> None:
    columns = {f"{table.name}.{column.name}" for table in SQLModel.metadata.tables.values() for column in table.c}
    assert {name for name in columns if "sealed" in name.partition(".")[2]} - PURPOSES.keys() == set()
