"""What clients do every day, against a server whose database is PostgreSQL: Git, Git LFS, Xet, downloads, refusals."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from huggingface_hub import CommitOperationAdd, hf_hub_download
from huggingface_hub.errors import GatedRepoError

from gatekeeper.app import assemble, close
from gatekeeper.db import Database
from gatekeeper.repos import collect, verify
from gatekeeper.web.version import access_version
from tests.postgres import running_postgres
from tests.wire.server import Hub
from tests.wire.serving import Server
from tests.wire.stages import accept_terms


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_postgres() as url:
        asyncio.run(_empty(url))
        made = Server(tmp_path_factory.mktemp("hub-pg"), database_url=url, words=("--no-inference",))
        made.start()
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture
def pg_hub(server: Server) -> Hub:
    return server.hub


async def _empty(url: str) -> None:
    database = Database(url)
    async with database.engine.begin() as connection:
        await connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        await connection.execute(sa.text("CREATE SCHEMA public"))
    await database.close()


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "NO_PROXY": "127.0.0.1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }

    def run(*words: str | Path, at: Path = tmp_path) -> str:
        done = subprocess.run(
            ["git", *map(str, words)], cwd=at, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout

    return run


def address(hub: Hub, name: str) -> str:
    secret = hub.tokens["ada"]
    return f"{hub.url.replace('://', f'://ada:{secret}@')}/{name}"


def test_git_and_git_lfs_go_both_ways(pg_hub: Hub, git: Callable[..., str], tmp_path: Path) -> None:
    ada = pg_hub.api("ada")
    ada.create_repo("ada/by-git")
    at, again, partial = tmp_path / "at", tmp_path / "again", tmp_path / "partial"
    git("clone", "-q", address(pg_hub, "ada/by-git"), at)
    git("lfs", "install", "--local", at=at)
    large = os.urandom(2_000_000)
    (at / "weights.bin").write_bytes(large)
    (at / "notes.txt").write_text("one\n")
    git("add", "-A", at=at)
    git("commit", "-qm", "by git", at=at)
    git("tag", "-a", "v1", "-m", "first", at=at)
    git("push", "-q", "origin", "HEAD:main", "HEAD:side", "v1", at=at)
    git("push", "-q", "origin", ":side", at=at)
    git("clone", "-q", address(pg_hub, "ada/by-git"), again)
    git("lfs", "install", "--local", at=again)
    git("lfs", "pull", at=again)
    assert (again / "weights.bin").read_bytes() == large
    assert git("rev-parse", "HEAD", at=again) == git("rev-parse", "v1^{commit}", at=at)
    git("fsck", "--full", "--strict", at=again)
    git("clone", "-q", "--depth", "1", "--filter=blob:none", address(pg_hub, "ada/by-git"), partial)
    assert (partial / "notes.txt").read_text() == "one\n"


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own, where it sends by LFS
@pytest.mark.parametrize("way", ["xet", "lfs"])
def test_large_files_go_both_ways(pg_hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", way == "lfs")
    ada, name = pg_hub.api("ada"), f"ada/by-{way}"
    ada.create_repo(name)
    content = os.urandom(3_000_000)
    ada.upload_file(path_or_fileobj=content, path_in_repo="weights.bin", repo_id=name)
    varied = content[:2_900_000] + os.urandom(100_000)
    ada.upload_file(path_or_fileobj=varied, path_in_repo="weights.bin", repo_id=name)
    for revision, expected in (("main", varied), (ada.list_repo_commits(name)[1].commit_id, content)):
        got = hf_hub_download(name, "weights.bin", revision=revision, endpoint=pg_hub.url, cache_dir=tmp_path)
        assert Path(got).read_bytes() == expected
    assert [entry.path for entry in ada.list_repo_tree(name)] == [".gitattributes", "weights.bin"]


def test_a_revocation_binds_on_the_next_request_though_answers_are_kept(pg_hub: Hub) -> None:
    ada, name = pg_hub.api("ada"), "ada/gated"
    ada.create_repo(name)
    ada.create_commit(name, [CommitOperationAdd("a.txt", b"content")], commit_message="a")
    ada.update_repo_settings(name, gated="auto")
    accept_terms(pg_hub, "bob", name)
    with pg_hub.http("bob") as http:
        for _ in range(3):
            assert http.get(f"/{name}/resolve/main/a.txt").content == b"content"
        ada.reject_access_request(name, "bob", rejection_reason="no longer")
        assert http.get(f"/{name}/resolve/main/a.txt").status_code == 403
    with pytest.raises(GatedRepoError):
        pg_hub.api("bob").auth_check(name)


def test_the_version_counts_changes_and_says_so_when_it_cannot_tell(server: Server, pg_hub: Hub) -> None:
    version = access_version(Database(server.settings.database))
    before = version.current()
    assert before is not None
    assert version.current() == before
    pg_hub.api("ada").create_repo("ada/counted")
    after = version.current()
    assert after is not None
    assert after > before
    version.close()
    nowhere = access_version(Database("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    assert nowhere.current() is None
    assert nowhere.current() is None
    nowhere.close()


def test_what_is_stored_is_sound_and_can_be_swept(server: Server, pg_hub: Hub) -> None:
    pg_hub.api("ada").create_repo("ada/swept")
    pg_hub.api("ada").upload_file(path_or_fileobj=os.urandom(50_000), path_in_repo="w.bin", repo_id="ada/swept")

    async def check() -> Any:
        gatekeeper = assemble(server.settings)
        try:
            await collect(gatekeeper.db, gatekeeper.store)
            async with gatekeeper.db.read() as s:
                return await verify(s, gatekeeper.store)
        finally:
            await close(gatekeeper)

    assert asyncio.run(check()).is_sound
