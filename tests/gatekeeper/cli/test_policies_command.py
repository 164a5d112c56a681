"""`gatekeeper policies`: who, simulate, activate, rollback, history, as run at a terminal."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.main import main
from tests.gatekeeper.authz.folders import changed_folder


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    (tmp_path / "gatekeeper.sqlite3").write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    assert invoke("people", "add", "ada", "--email", "ada@example.org", "--admin").exit_code == 0
    return invoke


def test_a_change_is_tried_put_in_force_and_taken_back(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first = changed_folder(tmp_path, name="first", know=("// Who knows", "// First. Who knows"))
    second = changed_folder(tmp_path, name="second", know=("// Who knows", "// Second. Who knows"))
    assert "nothing changes" in run("policies", "simulate", str(first)).output
    for folder in (first, second):
        done = run("policies", "activate", str(folder), "--note", "A clearer comment.")
        assert done.exit_code == 0, done.output
        assert "is in force" in done.output
    digests = [row["bundle"] for row in json.loads(run("policies", "history", "--json").output)]
    back = run("policies", "rollback", "--note", "It was clearer before.")
    assert back.exit_code == 0, back.output
    lines = run("policies", "history").output.splitlines()
    assert len(lines) == 3
    assert re.search(rf"{digests[1][:16]}  command  operator  It was clearer before\.$", lines[0])


def test_refusals_say_what_to_do(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    broken = changed_folder(tmp_path, know=("permit(", "permitt("))
    refused = run("policies", "activate", str(broken), "--note", "x")
    assert refused.exit_code == 1
    assert "know.cedar" in refused.output
    assert run("policies", "activate", str(broken)).exit_code == 2
    assert "start the server once" in run("policies", "history").output
    assert "Repository not found" in run("policies", "who", "download", "ada/none").output
