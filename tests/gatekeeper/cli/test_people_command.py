"""`people add`, `people first-link`, `tokens revoke`, `orgs rename`, `orgs delete` as an operator types them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.main import main


def test_people_get_links_and_organizations_another_name_and_an_end(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copyfile(template, tmp_path / "gatekeeper.sqlite3")
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    def run(words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, words.split(), input=stdin)

    added = json.loads(run("people add ada --email ada@example.org --json").output)
    assert re.fullmatch(r"http://localhost:8000/reset\?link=gl_\w+", added["link"])
    again = run("people first-link ada").output.strip()
    assert again != added["link"]
    piped = run("people add bob --email bob@example.org --password-stdin --json", "correct horse battery\n")
    assert "link" not in json.loads(piped.output)
    refused = run("people first-link bob")
    assert (refused.exit_code, "has a password already" in refused.output) == (1, True)

    assert run("tokens issue bob").exit_code == 0
    assert "Ended 1 tokens and connections of bob" in run("tokens revoke bob").output

    assert "is called bert now" in run("people rename bob bert").output
    assert "is taken" in run("people add bob --email b@example.org").output
    assert run("orgs add lab").exit_code == 0
    assert "is called atelier now" in run("orgs rename lab atelier").output
    assert "Run it again with --yes" in run("orgs delete atelier").output
    assert run("orgs member atelier ada --role read").exit_code == 0
    ended = json.loads(run("orgs delete atelier --yes --json").output)
    assert (ended["deleted"], ended["members"]) == (True, 1)
    assert run("orgs member atelier ada --role read").exit_code == 1
    assert "taken" in run("orgs add lab").output
