"""`gatekeeper db backup` and `db restore`: nothing is lost unseen, and nothing is brought back unseen."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.archive import digest
from gatekeeper.cli.main import main


class Place:
    """A data directory in which commands are run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self._monkeypatch, self.root = monkeypatch, root

    def run(self, *words: str) -> Result:
        self._monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(self.root))
        return CliRunner().invoke(main, list(words))

    def value(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.output)


@pytest.fixture
def hub(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    root = tmp_path / "hub"
    root.mkdir()
    shutil.copyfile(template, root / "gatekeeper.sqlite3")
    place = Place(monkeypatch, root)
    assert place.run("people", "add", "ada", "--email", "ada@example.org").exit_code == 0
    stored = root / "files" / "sha256" / "ab"
    stored.mkdir(parents=True)
    (stored / "file").write_bytes(b"weights")
    return place


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(monkeypatch, tmp_path / "elsewhere")


def test_a_hub_is_brought_back_whole_with_its_keys_and_files(hub: Place, elsewhere: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    assert hub.run("db", "backup", str(saved), "--files", "--keys").exit_code == 0
    (tmp_path / "kept").write_text((saved / "checkpoint.txt").read_text())

    done = elsewhere.value("db", "restore", str(saved), "--checkpoint", str(tmp_path / "kept"))

    assert (done["missing_events"], done["absent_files"]) == (0, [])
    assert (elsewhere.root / "files" / "sha256" / "ab" / "file").read_bytes() == b"weights"
    assert elsewhere.run("ledger", "verify", "--checkpoint", str(tmp_path / "kept")).exit_code == 0
    for path in (elsewhere.root / "gatekeeper.sqlite3", *(elsewhere.root / "keys").iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
    assert "taken" in elsewhere.run("people", "add", "ada", "--email", "a@example.org").output
    assert elsewhere.run("ledger", "checkpoint").exit_code == 0


def test_a_backup_that_lacks_later_acts_is_noticed(hub: Place, elsewhere: Place, tmp_path: Path) -> None:
    hub.run("db", "backup", str(tmp_path / "saved"), "--keys")
    hub.run("people", "disable", "ada")
    (tmp_path / "kept").write_text(hub.run("ledger", "checkpoint").output)
    words = ("db", "restore", str(tmp_path / "saved"), "--checkpoint", str(tmp_path / "kept"))

    refused = elsewhere.run(*words)
    assert (refused.exit_code, "lacks the last 1 events" in refused.output) == (1, True)
    assert not list(elsewhere.root.glob("gatekeeper.sqlite3*"))
    assert not (elsewhere.root / "keys" / "signing.ed25519").exists()

    assert elsewhere.value(*words, "--older")["missing_events"] == 1
    with sqlite3.connect(elsewhere.root / "gatekeeper.sqlite3") as connection:
        query = "SELECT body FROM ledger_event WHERE kind = 'operator:backup:restore'"
        assert json.loads(connection.execute(query).fetchone()[0])["missing"] == 1
    connection.close()


def test_a_backup_that_was_changed_is_refused(hub: Place, elsewhere: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    hub.run("db", "backup", str(saved), "--keys")
    with sqlite3.connect(saved / "gatekeeper.sqlite3") as connection:
        connection.execute("DROP TRIGGER guard_ledger_event_sealed")
        connection.execute("DROP TRIGGER guard_ledger_event_pending")
        connection.execute("UPDATE ledger_event SET kind = 'accounts:person:disable'")
    connection.close()
    assert "not the one that was saved" in elsewhere.run("db", "restore", str(saved)).output

    manifest = json.loads((saved / "manifest.json").read_text())
    manifest["database_sha256"] = digest(saved / "gatekeeper.sqlite3")
    (saved / "manifest.json").write_text(json.dumps(manifest))
    refused = elsewhere.run("db", "restore", str(saved))
    assert (refused.exit_code, "is not intact" in refused.output) == (1, True)
    assert not list(elsewhere.root.glob("gatekeeper.sqlite3*"))


def test_nothing_that_is_there_is_overwritten(hub: Place, elsewhere: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    assert hub.run("db", "backup", str(saved), "--keys").exit_code == 0
    assert "not empty" in hub.run("db", "backup", str(saved)).output
    assert "There is a database" in hub.run("db", "restore", str(saved)).output
    elsewhere.run("db", "restore", str(saved))
    other = Place(hub._monkeypatch, tmp_path / "other")
    (other.root / "keys").mkdir(parents=True)
    (other.root / "keys" / "signing.ed25519").write_bytes(b"k" * 32)
    assert "are not those of the backup" in other.run("db", "restore", str(saved)).output


def test_without_keys_it_says_where_they_belong(hub: Place, elsewhere: Place, tmp_path: Path) -> None:
    hub.run("db", "backup", str(tmp_path / "saved"))
    refused = elsewhere.run("db", "restore", str(tmp_path / "saved"))
    assert (refused.exit_code, "holds no keys" in refused.output) == (1, True)
    shutil.copytree(hub.root / "keys", elsewhere.root / "keys")
    done = elsewhere.run("db", "restore", str(tmp_path / "saved"))
    assert (done.exit_code, "nobody knows whether later events are missing" in done.output) == (0, True)


def test_what_is_no_backup_is_said_to_be_none(elsewhere: Place, tmp_path: Path) -> None:
    assert "is no backup" in elsewhere.run("db", "restore", str(tmp_path)).output
