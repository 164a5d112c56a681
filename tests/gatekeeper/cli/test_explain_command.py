"""`gatekeeper policies explain`, run as a person at the terminal runs it, on a database in a folder."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.main import main
from gatekeeper.db import Database
from tests.gatekeeper.licensing.builders import make_person, make_repo


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """A hub where ada has the repository ada/gated, closed by hand; bob has nothing."""
    (tmp_path / "gatekeeper.sqlite3").write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'gatekeeper.sqlite3'}")
        async with database.write() as session:
            ada = await make_person(session, "ada")
            await make_person(session, "bob")
            await make_repo(session, ada, name="gated")
        await database.close()

    asyncio.run(fill())
    return lambda *words: CliRunner().invoke(main, ["policies", "explain", *words])


def test_a_yes_and_a_no_are_told_with_rules_and_next_step(run) -> None:  # type: ignore[no-untyped-def]
    owner: Result = run("ada", "download", "ada/gated")
    assert owner.exit_code == 0, owner.output
    assert "ada may download ada/gated" in owner.output
    assert "rule " in owner.output
    outsider: Result = run("bob", "download", "ada/gated", "--revision", "main")
    assert outsider.exit_code == 0, outsider.output
    assert "bob may not download ada/gated" in outsider.output
    assert "access_not_requested" in outsider.output


def test_machines_get_json_and_nobody_in_particular_can_be_asked_about(run) -> None:  # type: ignore[no-untyped-def]
    told = json.loads(run("anonymous", "know", "ada/gated", "--json").output)
    assert told["allowed"] is True
    assert told["facts"]["gate"] == "manual"
    assert json.loads(run("anonymous", "generate", "ada/gated", "--json").output)["code"] == "sign_in_required"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("carol", "know", "ada/gated"), "nobody called carol"),
        (("bob", "know", "ada/none"), "Repository not found"),
        (("bob", "know", "ada/gated", "--revision", "none"), "none"),
        (("bob", "fly", "ada/gated"), "fly"),
        (("bob", "admin_people", "ada/gated"), "admin_people"),
    ],
)
def test_what_does_not_exist_is_named(run, words: tuple[str, ...], told: str) -> None:  # type: ignore[no-untyped-def]
    answer: Result = run(*words)
    assert answer.exit_code in (1, 2)
    assert told in answer.output
