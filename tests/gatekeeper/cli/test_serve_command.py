"""`gatekeeper serve` on a database that is not the program's."""

import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli.main import main
from gatekeeper.schema import copy_template


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        (None, "The database is not at the present schema. Run `gatekeeper db upgrade`."),
        ("of tomorrow", "The database was made by a newer version of Gatekeeper. Install that version again."),
    ],
)
def test_a_server_does_not_begin_on_another_versions_database(
    revision: str | None, said: str, tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))
    if revision is not None:
        copy_template(template, tmp_path / "gatekeeper.sqlite3")
        with sqlite3.connect(tmp_path / "gatekeeper.sqlite3") as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    done = CliRunner().invoke(main, ["serve", "--port", "0", "--no-inference"])
    assert (done.exit_code, done.output) == (1, f"gatekeeper: {said}\n")
