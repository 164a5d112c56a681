"""`gatekeeper incidents`, as run at a terminal."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli.main import main
from gatekeeper.db import Database
from tests.gatekeeper.licensing.builders import make_person, make_repo


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """ada/model and bob/other, each maintained by one person."""
    (tmp_path / "gatekeeper.sqlite3").write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path / 'gatekeeper.sqlite3'}")
        async with database.write() as session:
            for name, repo in (("ada", "model"), ("bob", "other")):
                await make_repo(session, await make_person(session, name), name=repo)
        await database.close()

    asyncio.run(fill())
    return lambda *words: CliRunner().invoke(main, ["incidents", *words])


def test_an_incident_is_opened_listed_and_closed_by_a_maintainer_alone(run) -> None:  # type: ignore[no-untyped-def]
    text = ("--title", "Faces", "--severity", "high", "--description", "Since today.")
    refused = run("open", "ada/model", *text, "--as", "bob")
    opened = run("open", "ada/model", *text, "--as", "ada", "--json")
    assert refused.exit_code == 1
    assert opened.exit_code == 0, opened.output
    id = json.loads(opened.output)["id"]

    listed = [json.loads(run("list", *which, "--json").output) for which in ((), ("ada/model",), ("bob/other",))]
    stranger = run("close", id, "--note", "Nothing.", "--as", "bob")
    closed = run("close", id, "--note", "Taken out.", "--as", "ada")
    again = run("close", id, "--note", "Taken out.", "--as", "ada")

    assert [[row["id"] for row in rows] for rows in listed] == [[id], [id], []]
    assert (stranger.exit_code, closed.exit_code, again.exit_code) == (1, 0, 1)
    assert "is closed" in again.output
    assert "There are none." in run("list").output
    assert f"{id}  closed    high     Faces" in run("list", "--all").output
