"""`gatekeeper licenses changes|classify`: a maintainer judges a change of terms at a terminal."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gatekeeper import licensing
from gatekeeper.cli.main import main
from gatekeeper.db import Database
from tests.gatekeeper.licensing.builders import LICENSE, commit_files, make_person, make_repo


def test_a_change_is_read_and_judged_by_who_may(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gatekeeper.sqlite3"
    path.write_bytes(template.read_bytes())
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(tmp_path))

    async def fill() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        async with database.write() as session:
            owner, _ = await make_person(session, "owner"), await make_person(session, "bob")
            repo, first = await make_repo(session, owner, name="model", files={"LICENSE": LICENSE})
            second = await commit_files(session, repo, {"LICENSE": LICENSE + b"Be kind.\n"}, by=owner)
            for commit in (first, second):
                terms = await licensing.terms_for(session, repo, commit)
                assert terms is not None
                await licensing.put_in_force(session, repo, terms.sha256, by=owner)
        await database.close()

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["licenses", *words])

    asyncio.run(fill())
    row = json.loads(run("changes", "owner/model", "--json").output)[0]
    assert (row["class"], "+ Be kind." in row["lines"]) == (None, True)
    assert row["seen"] in run("changes", "owner/model").output
    judge = ("classify", "owner/model", row["id"], "clarification")
    assert run(*judge, "--as", "bob", "--seen", row["seen"]).exit_code == 1
    unread = run(*judge, "--as", "owner", "--seen", "0" * 64)
    assert (unread.exit_code, "not shown" in unread.output) == (1, True)
    done = run(*judge, "--as", "owner", "--seen", row["seen"], "--note", "Says it better.")
    assert done.exit_code == 0, done.output
    assert json.loads(run("changes", "owner/model", "--json").output)[0]["class"] == "clarification"
