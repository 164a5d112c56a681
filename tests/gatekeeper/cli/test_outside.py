"""What an operator meets before the hub runs: one sentence that says what to do next, never a traceback."""

import resource
import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli.main import main

Place = pytest.MonkeyPatch


def told(words: str) -> str:
    result = CliRunner().invoke(main, words.split())
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert result.output.startswith("gatekeeper: ")
    assert result.output.count("\n") == 1
    return result.output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("GATEKEEPER_DATADIR", "GATEKEEPER_DATADIR is not a setting. Did you mean GATEKEEPER_DATA_DIR?"),
        ("GATEKEEPER_ZZZ", "GATEKEEPER_ZZZ is not a setting. docs/settings.md lists them."),
    ],
)
def test_a_misspelled_setting_is_refused(name: str, said: str, tmp_path: Path, monkeypatch: Place) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "x")
    assert said in told("db check")
    monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(f"{name}=x\n")
    assert said in told("db check")


@pytest.mark.parametrize("words", ["serve --port 0", "db upgrade", "db check"])
def test_a_data_directory_that_cannot_be_used_is_named(words: str, tmp_path: Path, monkeypatch: Place) -> None:
    (tmp_path / "data").touch()
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path / "data"))
    assert f"{tmp_path / 'data'}: File exists." in told(words)


@pytest.mark.parametrize("words", ["serve --port 0", "db upgrade", "ledger verify"])
def test_what_is_no_database_is_said(words: str, tmp_path: Path, monkeypatch: Place) -> None:
    (tmp_path / "gatekeeper.sqlite3").write_bytes(b"no database" * 1000)
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    assert "The database cannot be used: file is not a database." in told(words)


def test_a_disk_that_takes_no_more_is_said(template: Path, tmp_path: Path, monkeypatch: Place) -> None:
    shutil.copyfile(template, tmp_path / "gatekeeper.sqlite3")
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        said = told("people add ada --email ada@example.org")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "The database cannot be used: " in said
    assert "and at the disk" in said


@pytest.mark.parametrize(
    "url",
    ["postgres://hub:geheim@db/hub", "mysql://hub:geheim@db/hub", "postgresql+psycopg://hub:geheim@127.0.0.1:9/hub"],
)
def test_a_database_that_is_not_there_is_said_without_its_password(
    url: str, tmp_path: Path, monkeypatch: Place
) -> None:
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("GATEKEEPER_DATABASE_URL", url)
    said = told("db upgrade")
    assert "must begin with postgresql+psycopg://" in said or "The database cannot be used" in said
    assert "geheim" not in said


def test_a_server_on_an_older_database_says_what_to_run(tmp_path: Path, monkeypatch: Place) -> None:
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    assert "not at the present schema. Run `gatekeeper db upgrade`." in told("serve --port 0 --no-inference")


def test_a_server_on_a_newer_database_says_what_to_install(template: Path, tmp_path: Path, monkeypatch: Place) -> None:
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    shutil.copyfile(template, tmp_path / "gatekeeper.sqlite3")
    with sqlite3.connect(tmp_path / "gatekeeper.sqlite3") as database:
        database.execute("UPDATE alembic_version SET version_num = 'of tomorrow'")
    said = "gatekeeper: The database was made by a newer version of Gatekeeper. Install that version again.\n"
    assert told("serve --port 0 --no-inference") == said


def test_a_restore_that_was_cut_off_is_to_be_run_again(tmp_path: Path, monkeypatch: Place) -> None:
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    (tmp_path / "gatekeeper.sqlite3.restoring").write_bytes(b"half of it")
    assert "Run `gatekeeper db restore` again." in told("serve --port 0")
    assert not (tmp_path / "gatekeeper.sqlite3").exists()
