"""`gatekeeper repos mirror` as an operator runs it, with another running Gatekeeper as the upstream."""

import asyncio
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from huggingface_hub import CommitOperationAdd
from sqlmodel import col

from gatekeeper import repos, schema
from gatekeeper.accounts import OPERATOR, people
from gatekeeper.accounts.principal import Principal
from gatekeeper.app import assemble, close
from gatekeeper.cli.main import main
from gatekeeper.community import pulls
from gatekeeper.ledger import LedgerEvent
from gatekeeper.repos import RepoKind
from gatekeeper.settings import Settings
from gatekeeper.web.state import Gatekeeper
from tests.wire.relay import Relay
from tests.wire.server import Hub
from tests.wire.stages import CARD, accept_terms

WEIGHTS = os.urandom(3_000_000)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a hub of one's own, where mia may have repositories."""
    data_dir = tmp_path / "own"
    settings = Settings(data_dir=data_dir, _env_file=None)

    async def prepare(gatekeeper: Gatekeeper) -> None:
        gatekeeper.store.prepare()
        await schema.upgrade(gatekeeper.db)
        async with gatekeeper.db.write() as s:
            await people.add(s, "mia", email="mia@example.org", password="correct horse battery", by=OPERATOR)

    _inside(settings, prepare)
    monkeypatch.setenv("GATEKEEPER_DATA_DIR", str(data_dir))
    monkeypatch.delenv("GATEKEEPER_UPSTREAM_TOKEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return data_dir


@pytest.fixture
def gatekeeper(house: Path) -> Callable[..., Result]:
    """The command, in this process."""

    def run(*words: str, token: str = "", ok: bool = True) -> Result:
        done = CliRunner().invoke(main, list(words), env={"GATEKEEPER_UPSTREAM_TOKEN": token})
        assert (done.exit_code == 0) is ok, done.output
        return done

    return run


@pytest.fixture
def upstream(hub: Hub, name: str) -> str:
    hub.api("ada").create_repo(name)
    add(hub, name, {"README.md": CARD, "weights.bin": WEIGHTS, "folder/notes.txt": b"one\n"})
    return name


def add(hub: Hub, name: str, files: dict[str, bytes], **options: Any) -> str:
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return hub.api("ada").create_commit(name, operations, commit_message="files", **options).oid


def _inside(settings: Settings, work: Callable[[Gatekeeper], Any]) -> Any:
    async def whole() -> Any:
        gatekeeper = assemble(settings)
        try:
            return await work(gatekeeper)
        finally:
            await close(gatekeeper)

    return asyncio.run(whole())


def state(house: Path, name: str = "mia/copy", kind: RepoKind = RepoKind.MODEL) -> dict[str, Any]:
    """What the own hub holds of the repository."""

    async def read(gatekeeper: Gatekeeper) -> dict[str, Any]:
        async with gatekeeper.db.read() as s:
            repo = await repos.require(s, kind, name)
            rows = await repos.history.refs(s, repo)
            head = await repos.resolve_revision(s, repo, "main")
            commits = await repos.history.commits(s, repo, "main")
            files = await repos.tree(s, repo, head, recursive=True)
            return {
                "refs": {row.name: row.object_id for row in rows},
                "commits": [(commit.oid, commit.title, commit.author, commit.authored_at) for commit in commits],
                "files": {entry.path: entry.lfs.sha256 if entry.lfs else entry.oid for entry in files},
                "private": repo.is_private,
                "gate": repo.gate.value,
            }

    return dict(_inside(Settings(data_dir=house, _env_file=None), read))


def mirror_words(hub: Hub, name: str, *words: str, into: str = "mia/copy") -> list[str]:
    return ["repos", "mirror", name, into, "--endpoint", hub.url, *words]


def test_a_mirror_has_the_upstreams_very_commits_and_files(hub: Hub, upstream: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    ada = hub.api("ada")
    ada.create_branch(upstream, branch="side")
    add(hub, upstream, {"side.txt": b"side"}, revision="side")
    ada.create_tag(upstream, tag="v1")
    told = json.loads(gatekeeper(*mirror_words(hub, upstream, "--json", "--quiet")).stdout)
    made = state(house)
    refs = ada.list_repo_refs(upstream)
    assert made["refs"] == {ref.ref: ref.target_commit for ref in [*refs.branches, *refs.tags]}
    assert told["refs"] == made["refs"]
    theirs = ada.list_repo_commits(upstream)
    assert [(oid, title) for oid, title, _, _ in made["commits"]] == [(c.commit_id, c.title) for c in theirs]
    assert [at for *_, at in made["commits"]] == [c.created_at for c in theirs]
    assert {author for _, _, author, _ in made["commits"]} == {"ada"}
    assert made["files"]["weights.bin"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert made["private"] is True
    assert "0 faults" in gatekeeper("repos", "verify").output
    listed = json.loads(gatekeeper("repos", "mirrors", "--json").stdout)
    assert [(row["repository"], row["upstream"], row["problem"]) for row in listed] == [("mia/copy", upstream, "")]
    assert not list(house.glob("mirrors/*/*.part"))


def test_running_it_again_brings_what_is_new_and_nothing_else(hub: Hub, upstream: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    gatekeeper(*mirror_words(hub, upstream))
    assert "is in step" in gatekeeper(*mirror_words(hub, upstream, "--update")).output
    head = add(hub, upstream, {"more.bin": b"\0" * 2_000_000})
    told = json.loads(gatekeeper(*mirror_words(hub, upstream, "--update", "--json", "--quiet")).stdout)
    assert (told["commits"], told["large_bytes"]) == (1, 2_000_000)
    assert state(house)["refs"]["refs/heads/main"] == head
    refused = gatekeeper(*mirror_words(hub, upstream, "--update", into="mia/other"), ok=False)
    assert "There is no mirror mia/other" in refused.output
    other = gatekeeper("repos", "mirror", "ada/else", "mia/copy", "--endpoint", hub.url, ok=False)
    assert "shows no model" in other.output


def test_chosen_revisions_alone_are_brought_and_data_sets_too(hub: Hub, name: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    ada = hub.api("ada")
    ada.create_repo(name, repo_type="dataset")
    ada.create_branch(name, branch="side", repo_type="dataset")
    ada.create_commit(
        name, [CommitOperationAdd("rows.csv", b"a,b\n")], commit_message="rows", repo_type="dataset", revision="side"
    )
    ada.create_branch(name, branch="unwanted", repo_type="dataset")
    gatekeeper(*mirror_words(hub, name, "--type", "dataset", "--revision", "side", "--revision", "main"))
    made = state(house, kind=RepoKind.DATASET)
    assert sorted(made["refs"]) == ["refs/heads/main", "refs/heads/side"]
    absent = gatekeeper(*mirror_words(hub, f"datasets/{name}", "--revision", "nowhere"), ok=False)
    assert "has no branch, tag or pull request nowhere" in absent.output
    assert "unwanted" in absent.output


def test_a_pull_request_is_brought_where_it_is_named(hub: Hub, upstream: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    ada = hub.api("ada")
    ada.create_discussion(upstream, title="Number one is none")
    head = add(hub, upstream, {"proposed.txt": b"proposed"}, create_pr=True)
    gatekeeper(*mirror_words(hub, upstream))
    assert "refs/pr/2" not in state(house)["refs"]
    told = json.loads(gatekeeper(*mirror_words(hub, upstream, "--revision", "refs/pr/2", "--json", "--quiet")).stdout)
    assert list(told["refs"]) == ["refs/pr/2"]
    assert state(house)["refs"]["refs/pr/2"] == head
    newer = add(hub, upstream, {"more.txt": b"more"}, revision="refs/pr/2")
    ada.create_branch(upstream, branch="side")
    gatekeeper(*mirror_words(hub, upstream, "--update"))
    made = state(house)["refs"]
    assert (made["refs/pr/2"], "refs/heads/side" in made) == (newer, True)

    async def open_here(own: Gatekeeper) -> int:
        async with own.db.write() as s:
            repo = await repos.require(s, RepoKind.MODEL, "mia/copy")
            mia = await people.find(s, "mia")
            assert mia is not None
            by = Principal(mia.id, mia.name)
            pull = await pulls.open_pull(s, repo, title="Mine", text="", by=by, base=made["refs/heads/main"])
            return pull.num

    assert _inside(Settings(data_dir=house, _env_file=None), open_here) == 3
    add(hub, upstream, {"third.txt": b"third"}, create_pr=True)
    taken = gatekeeper(*mirror_words(hub, upstream, "--revision", "refs/pr/3", "--force"), ok=False)
    assert "a pull request that was opened here" in taken.output
    absent = gatekeeper(*mirror_words(hub, upstream, "--revision", "refs/pr/9"), ok=False)
    assert "has no branch, tag or pull request refs/pr/9" in absent.output


def test_a_rewritten_upstream_is_refused_until_it_is_forced(hub: Hub, upstream: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    gatekeeper(*mirror_words(hub, upstream))
    before = state(house)["refs"]
    hub.api("ada").super_squash_history(upstream, commit_message="one commit")
    refused = gatekeeper(*mirror_words(hub, upstream), ok=False)
    assert "no longer leads to what was brought" in refused.output
    assert "--force" in refused.output
    assert state(house)["refs"] == before
    assert "no longer leads" in gatekeeper("repos", "mirrors").output
    told = json.loads(gatekeeper(*mirror_words(hub, upstream, "--force", "--json", "--quiet")).stdout)
    assert told["replaced"] == ["refs/heads/main"]
    assert [title for _, title, *_ in state(house)["commits"]] == ["one commit"]

    async def evidence(own: Gatekeeper) -> list[Any]:
        async with own.db.read() as s:
            query = sa.select(col(LedgerEvent.body)).where(col(LedgerEvent.kind) == "repos:mirror:bring")
            return list(await s.scalars(query))

    bodies = _inside(Settings(data_dir=house, _env_file=None), evidence)
    assert ["refs/heads/main"] in [body["replaced"] for body in bodies]


def test_commits_made_here_are_never_overwritten_unasked(hub: Hub, upstream: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    gatekeeper(*mirror_words(hub, upstream))
    (house / "local").mkdir()
    (house / "local/own.txt").write_text("mine")
    gatekeeper("repos", "import", str(house / "local"), "mia/copy")
    mine = state(house)["refs"]
    add(hub, upstream, {"theirs.txt": b"theirs"})
    refused = gatekeeper(*mirror_words(hub, upstream), ok=False)
    assert "has commits of its own here" in refused.output
    assert state(house)["refs"] == mine


def test_a_repository_of_ones_own_does_not_become_a_mirror(hub: Hub, upstream: str, gatekeeper, house: Path) -> None:  # type: ignore[no-untyped-def]
    (house / "local").mkdir()
    (house / "local/own.txt").write_text("mine")
    gatekeeper("repos", "import", str(house / "local"), "mia/copy")
    assert "no mirror" in gatekeeper(*mirror_words(hub, upstream), ok=False).output


def test_a_gated_upstream_gives_its_content_to_whom_it_grants_it(
    hub: Hub, upstream: str, gatekeeper, house: Path
) -> None:  # type: ignore[no-untyped-def]
    hub.api("ada").update_repo_settings(upstream, gated="auto")
    nobody = gatekeeper(*mirror_words(hub, upstream), ok=False)
    assert "give a token" in nobody.output or "does not let" in nobody.output
    bob = hub.tokens["bob"]
    stranger = gatekeeper(*mirror_words(hub, upstream), token=bob, ok=False)
    assert "does not let the token's owner" in stranger.output
    assert f"{hub.url}/{upstream}" in stranger.output
    assert len(state(house)["commits"]) == 1  # nothing but what it was born with
    accept_terms(hub, "bob", upstream)
    gatekeeper(*mirror_words(hub, upstream, "--public"), token=bob)
    made = state(house)
    assert made["files"]["weights.bin"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert (made["private"], made["gate"]) == (True, "auto")  # made private by the first attempt, and stays so
    hub.api("ada").update_repo_settings(upstream, private=True)
    hidden = gatekeeper(*mirror_words(hub, upstream), token=hub.tokens["eve"], ok=False)
    assert "shows no model" in hidden.output or "does not know the token" in hidden.output


def test_history_that_the_upstream_keeps_back_is_cut_off_here_too(
    hub: Hub,
    upstream: str,
    gatekeeper,  # type: ignore[no-untyped-def]
    house: Path,
) -> None:
    hub.api("ada").update_repo_settings(upstream, gated="auto")
    add(hub, upstream, {"LICENSE": b"The first terms.\n"})
    changed = add(hub, upstream, {"LICENSE": b"The second terms.\n"})
    accept_terms(hub, "eve", upstream)
    gatekeeper(*mirror_words(hub, upstream), token=hub.tokens["eve"])
    assert [oid for oid, *_ in state(house)["commits"]] == [changed]
    newer = add(hub, upstream, {"more.txt": b"more"})
    gatekeeper(*mirror_words(hub, upstream), token=hub.tokens["eve"])
    assert [oid for oid, *_ in state(house)["commits"]] == [newer, changed]
    assert "0 faults" in gatekeeper("repos", "verify").output


def test_the_token_is_nowhere_afterwards(hub: Hub, upstream: str, gatekeeper, house: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    hub.api("ada").update_repo_settings(upstream, private=True)
    secret = hub.tokens["ada"]
    file = tmp_path / "upstream-token"
    file.write_text(f"{secret}\n")
    said = gatekeeper(*mirror_words(hub, upstream, "--token-file", str(file))).output
    said += gatekeeper(*mirror_words(hub, upstream, "--json"), token=secret).output
    said += gatekeeper(*mirror_words(hub, upstream, "--revision", "none"), token=secret, ok=False).output
    said += gatekeeper("repos", "mirrors", "--json").output
    forms = [secret, base64.b64encode(f"gatekeeper:{secret}".encode()).decode()]
    for form in forms:
        assert form not in said
        for path in [*house.rglob("*"), hub.data_dir / "server.log"]:
            if path.is_file():
                assert form.encode() not in path.read_bytes(), path
    spaced = gatekeeper(*mirror_words(hub, upstream), token=f"{secret} x", ok=False)
    assert "not in the form of one" in spaced.output
    assert secret not in spaced.output


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("http://hub.example.org", "without encryption"),
        ("https://ada:secret@hub.example.org", "not the address of a hub"),
        ("https://hub.example.org/path", "not the address of a hub"),
        ("ftp://hub.example.org", "not the address of a hub"),
        ("https://hub.example.org:port", "not the address of a hub"),
    ],
)
def test_an_endpoint_is_a_hubs_address_and_encrypted(gatekeeper, endpoint: str, said: str) -> None:  # type: ignore[no-untyped-def]
    refused = gatekeeper("repos", "mirror", "ada/x", "mia/copy", "--endpoint", endpoint, ok=False)
    assert said in refused.output
    assert "secret" not in refused.output


@pytest.fixture
def slow(hub: Hub) -> Iterator[Relay]:
    with Relay(hub) as relay:
        yield relay


def test_a_mirror_that_was_killed_goes_on_where_it_stopped(
    hub: Hub,
    upstream: str,
    gatekeeper,  # type: ignore[no-untyped-def]
    house: Path,
    slow: Relay,
) -> None:
    large = os.urandom(4_000_000)
    add(hub, upstream, {"second.bin": large})
    words = ["repos", "mirror", upstream, "mia/copy", "--endpoint", slow.url]
    process = subprocess.Popen(
        [sys.executable, "-m", "gatekeeper", *words], env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    part = None
    ends = time.monotonic() + 120
    while part is None and time.monotonic() < ends and process.poll() is None:
        part = next((p for p in house.glob("mirrors/*/*.part") if p.stat().st_size > 500_000), None)
        time.sleep(0.01)
    assert part is not None, process.communicate()[1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(state(house)["commits"]) == 1
    held = part.stat().st_size
    slow.pause = 0
    slow.asked.clear()
    gatekeeper(*words)
    assert f"bytes={held}-" in slow.asked
    made = state(house)
    assert made["files"]["second.bin"] == hashlib.sha256(large).hexdigest()
    assert made["files"]["weights.bin"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert "0 faults" in gatekeeper("repos", "verify").output


def test_the_token_goes_to_the_endpoint_alone_and_other_bytes_are_dropped(
    hub: Hub,
    upstream: str,
    gatekeeper,  # type: ignore[no-untyped-def]
    house: Path,
    slow: Relay,
) -> None:
    slow.pause = 0
    with Relay(hub, forged=b"x" * len(WEIGHTS)) as elsewhere:
        slow.leads_to = elsewhere.url
        refused = gatekeeper(
            "repos", "mirror", upstream, "mia/copy", "--endpoint", slow.url, token="gk_secret", ok=False
        )
        assert "did not come as" in refused.output
        assert slow.credentials == {"Bearer gk_secret", f"Basic {base64.b64encode(b'gatekeeper:gk_secret').decode()}"}
        assert elsewhere.credentials == {""}
    assert not list(house.glob("mirrors/*/*.part"))
    assert len(state(house)["commits"]) == 1
