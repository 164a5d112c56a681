"""`gatekeeper requests`: what a reviewer does, at a terminal."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper import access
from gatekeeper.authz import Policies
from gatekeeper.cli.main import main
from gatekeeper.db import Database
from gatekeeper.web.state import Keys
from tests.gatekeeper.licensing.builders import make_person, make_repo


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    path = tmp_path / "gatekeeper.sqlite3"
    path.write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}", personal=lambda: Keys.load(tmp_path / "keys").sealing)
        async with database.write() as session:
            owner, ada, _ = [await make_person(session, name) for name in ("owner", "ada", "bob")]
            repo, _ = await make_repo(session, owner, name="model", files={"a.txt": b"a"})
            await access.submit(session, ada, repo, fields=None, bundle=None)
        await database.close()

    asyncio.run(fill())

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["requests", *words])

    return invoke


def _state(run) -> str:  # type: ignore[no-untyped-def]
    return str(json.loads(run("list", "owner/model", "--json").output)[0]["state"])


def test_a_request_is_handled_and_decided(run) -> None:  # type: ignore[no-untyped-def]
    id = json.loads(run("list", "owner/model", "--json").output)[0]["id"]

    refused = run("claim", id, "--as", "bob")
    assert refused.exit_code == 1
    assert run("claim", id, "--as", "owner").exit_code == 0
    assert run("refer", id, "bob", "--comment", "Do you know them?").exit_code == 0
    assert _state(run) == "referred"
    early = run("suspend", id, "--reason", "No.")
    assert (early.exit_code, "waits for the opinion" in early.output) == (1, True)


def test_reviewers_vote_and_hand_a_request_on(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    id = json.loads(run("list", "owner/model", "--json").output)[0]["id"]

    assert run("vote", id, "yes", "--as", "bob").exit_code == 1
    assert run("vote", id, "yes", "--as", "owner", "--comment", "Known here.").exit_code == 0
    with sqlite3.connect(tmp_path / "gatekeeper.sqlite3") as connection:
        query = "SELECT door, policy_sha256 FROM ledger_event WHERE kind = 'access:request:vote'"
        assert connection.execute(query).fetchone() == ("command", Policies.load().sha256)
    assert json.loads(run("delegate", id, "bob", "--comment", "Your project.", "--json").output)["state"] == "returned"
    assert json.loads(run("list", "owner/model", "--json").output)[0]["person"] == "bob"


def test_access_is_suspended_and_goes_on(run) -> None:  # type: ignore[no-untyped-def]
    id = json.loads(run("list", "owner/model", "--json").output)[0]["id"]

    assert run("approve", id).exit_code == 0
    assert json.loads(run("suspend", id, "--reason", "We look.", "--json").output)["state"] == "suspended"
    assert run("resume", id).exit_code == 0
    assert _state(run) == "active"


def test_a_request_is_returned_with_a_comment(run) -> None:  # type: ignore[no-untyped-def]
    id = json.loads(run("list", "owner/model", "--json").output)[0]["id"]

    assert run("return", id, "--comment", " ").exit_code == 1
    assert json.loads(run("return", id, "--comment", "Why?", "--json").output)["state"] == "returned"


def test_people_are_blocked_once_and_vouched_for(run) -> None:  # type: ignore[no-untyped-def]
    made = run("block", "ada", "--reason", "Copies.", "--repository", "owner/model", "--json")
    assert made.exit_code == 0, made.output
    assert run("block", "ada", "--reason", "Copies.", "--repository", "owner/model").exit_code == 1
    assert run("block", "ada", "--reason", "x", "--organization", "nobody").exit_code == 1
    id = json.loads(made.output)["id"]
    [row] = json.loads(run("blocks", "--json").output)
    assert (row["id"], row["person"], row["repository"]) == (id, "ada", "owner/model")
    assert run("unblock", id).exit_code == 0
    assert json.loads(run("blocks", "--json").output) == []
    assert run("unblock", id).exit_code == 1
    assert run("vouch", "ada", "training", "--evidence", "Certificate 7").exit_code == 0
    assert run("vouch", "ada", "magic", "--evidence", "None").exit_code == 1
