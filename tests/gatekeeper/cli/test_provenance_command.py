"""`gatekeeper verify` and `gatekeeper provenance`, as run at a terminal."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.main import main
from gatekeeper.provenance import Notary
from tests.gatekeeper.provenance.builders import FACTS, emoji, png


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    (tmp_path / "gatekeeper.sqlite3").write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, words)

    return invoke


def test_a_file_is_verified_before_and_after_another_authority_begins(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    ours, theirs = tmp_path / "ours.png", tmp_path / "theirs.png"
    notary = Notary.load(tmp_path / "keys" / "provenance", owner="hub.test")
    ours.write_bytes(notary.certify(png(emoji(64)), 7, FACTS).content)
    theirs.write_bytes(png(emoji(64)))

    assert "Signed by this hub" in run("verify", str(ours)).output
    refused = run("verify", str(theirs))
    assert (refused.exit_code, "Nothing shows" in refused.output) == (1, True)
    shown = json.loads(run("provenance", "show", "--json").output)
    rotated = json.loads(run("provenance", "rotate", "--authority", "--json").output)
    assert shown["certificates"] in rotated["certificates"]
    assert rotated["sha256"] != shown["sha256"]
    found = json.loads(run("verify", str(ours), "--json").output)
    assert (found["signature"]["state"], found["watermark"]["record"]) == ("trusted", "0000000007")


def test_a_certificate_for_something_else_stops_the_server_with_a_sentence(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CERTIFICATE", "KEY"):
        (tmp_path / name).write_text("nothing")
        monkeypatch.setenv(f"GATEKEEPER_PROVENANCE_{name}_FILE", str(tmp_path / name))
    refused = run("serve", "--port", "0", "--no-inference")
    assert refused.exit_code == 1
    assert "signing images cannot be read" in refused.output
    assert "Traceback" not in refused.output
