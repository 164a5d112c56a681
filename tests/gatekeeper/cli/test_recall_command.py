"""`gatekeeper releases`, the way down: change, carry-out, holders, rollback, as run at a terminal."""

import asyncio
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlmodel import col

from gatekeeper import ledger, notices, releases
from gatekeeper.accounts import Person
from gatekeeper.cli.main import main
from gatekeeper.db import Database
from gatekeeper.jobs import Job
from gatekeeper.kit.signing import SigningKey
from gatekeeper.notices import Notice
from gatekeeper.releases import Stage
from tests.gatekeeper.licensing.builders import make_person, make_repo

KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """ada/model stands at gated; bob fetched it and has no grant."""
    (tmp_path / "gatekeeper.sqlite3").write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'gatekeeper.sqlite3'}")
        async with database.write() as session:
            ada, bob = await make_person(session, "ada"), await make_person(session, "bob")
            repo, commit = await make_repo(session, ada, name="model")
            release = await releases.enable_staging(session, repo, by=ada)
            release.stage = Stage.GATED
            body = {"action": "download", "path": "w.safetensors", "digest": "a" * 64}
            await ledger.record(
                session, "repos:file:download", actor=bob.person_id, repo=repo.id, subject=commit, body=body
            )
        await hand_out(database)  # what was before is handed out to nobody
        await database.close()

    asyncio.run(fill())
    return lambda *words: CliRunner().invoke(main, ["releases", *words])


async def hand_out(database: Database) -> None:
    """Seal what happened and tell whom it concerns."""

    async def never(*_: object) -> bool:
        return False

    await ledger.Sealer(database, KEY, origin="test").seal()
    await notices.hand_out(database, judge=never)
    async with database.read() as session:
        payloads = await session.scalars(sa.select(col(Job.payload)).where(col(Job.kind) == notices.TELL_HOLDERS))
    for payload in payloads:
        await notices.tell_holders(database, payload)


async def who_was_told(folder: Path) -> list[tuple[str, str]]:
    """Who was told, and in which words."""
    database = Database(f"sqlite+aiosqlite:///{folder / 'gatekeeper.sqlite3'}")
    await hand_out(database)
    async with database.read() as session:
        rows = await session.execute(sa.select(Person, Notice).join(Notice, col(Notice.person_id) == col(Person.id)))
        said = [(person.name, notices.say(notice.kind, notice.facts).text) for person, notice in rows]
    await database.close()
    return said


def test_a_rollback_is_one_command_that_says_who_holds_what_and_tells_them(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done: Result = run("rollback", "ada/model", "--reason", "Leaked faces.", "--as", "ada", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["side"] == "held"
    assert told["falls_back_to"] is None
    [holder] = told["holders"]
    assert (holder["person"], holder["files"]) == ("bob", [{"path": "w.safetensors", "sha256": "a" * 64}])
    assert f"{'a' * 64}  w.safetensors" in run("holders", "ada/model").output
    [(name, words)] = asyncio.run(who_was_told(tmp_path))
    assert name == "bob"
    assert "was put on hold" in words
    assert f"You fetched w.safetensors (sha256 {'a' * 16})." in words
    again = run("rollback", "ada/model", "--reason", "Again.", "--as", "ada")
    assert again.exit_code == 1
    assert "on hold already" in again.output
    run("resume", "ada/model", "--as", "ada")
    said = run("rollback", "ada/model", "--reason", "Again.", "--as", "ada").output
    assert "there is no other release that everybody may see. 1 person holds it and is told:\nbob, " in said


def test_an_embargo_is_announced_and_a_sole_maintainer_withdraws_at_once(run) -> None:  # type: ignore[no-untyped-def]
    embargo = ("change", "ada/model", "--act", "embargo", "--reason", "Paper.", "--as", "ada")
    assert run(*embargo, "--until", "soon").exit_code == 1
    announced = run(*embargo, "--until", "2099-01-01T10:00")
    assert announced.exit_code == 0, announced.output
    assert "under embargo until 2099-01-01T10:00" in announced.output
    gone = run("change", "ada/model", "--act", "withdraw", "--reason", "Stolen.", "--as", "ada", "--json")
    assert gone.exit_code == 0, gone.output
    assert json.loads(gone.output)["side"] == "withdrawn"
