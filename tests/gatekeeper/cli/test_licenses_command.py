"""`gatekeeper licenses`: add, list, show, recognize, as run at a terminal."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.main import main
from gatekeeper.kit.bundled import bundled_dir


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    (tmp_path / "gatekeeper.sqlite3").write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["licenses", *words])

    return invoke


def test_a_text_is_added_compared_and_recognized(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    emoji = bundled_dir("policies") / "licenses" / "gatekeeper-emoji-openrail-m.txt"
    copy = tmp_path / "copy.txt"
    copy.write_text(emoji.read_text().replace('"', "”"))
    made = run("add", "our-license", str(copy), "--json")
    assert made.exit_code == 0, made.output
    sha256 = json.loads(made.output)["sha256"]
    said = run("show", sha256).output
    assert "Its words are those of gatekeeper-emoji-openrail-m" in said
    assert "ATTACHMENT A" in said.upper()
    assert run("recognize", sha256, "gatekeeper-emoji-openrail-m").exit_code == 0
    assert json.loads(run("show", sha256, "--json").output)["license"] == "gatekeeper-emoji-openrail-m"
    again = run("recognize", sha256, "mit")
    assert again.exit_code == 1
    assert "recognized already" in again.output


def test_a_text_of_the_package_needs_no_file(run) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("licensedcode")
    assert run("add", "creativeml-openrail-m").exit_code == 0
    rows = {row["id"]: row for row in json.loads(run("list", "--json").output)}
    assert rows["creativeml-openrail-m"]["text_sha256"].startswith("b7dc017dedd624cb")
    assert rows["openrail++"]["text_sha256"] is None
    refused = run("add", "openrail++")
    assert refused.exit_code == 1
    assert "Give the file" in refused.output


def test_what_is_no_text_is_refused(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    odd = tmp_path / "odd.txt"
    odd.write_bytes(b"\xff\xfe")
    assert "UTF-8" in run("add", "x", str(odd)).output
    assert "no license text with the digest" in run("show", "0" * 64).output
