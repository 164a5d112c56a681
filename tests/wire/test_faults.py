"""The server is killed at random moments while files go up by every way; nothing that was answered for is ever lost.

FAULT_UPLOADS  how many uploads are made (20; `FAULT_UPLOADS=200` is the long run)
FAULT_SEED     repeats the moments of a run that failed, as far as a machine repeats itself
"""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, hf_hub_download

from gatekeeper import repos
from gatekeeper.app import assemble, close
from gatekeeper.repos import RepoKind, Report, Swept
from gatekeeper.web.state import Gatekeeper
from tests.wire.serving import Server

UPLOADS = int(os.environ.get("FAULT_UPLOADS", "20"))
SEED = int(os.environ.get("FAULT_SEED", str(time.time_ns() % 10**6)))
_WAYS = ("plain", "lfs", "xet", "git")
_PATIENCE_SECONDS = 200  # of a client, on a machine that has much else to do


@dataclass
class Client:
    """Somebody who uploads file after file to a repository of their own, by one way, and tries again after a failure.

    kept  what the server answered for: digest of each file, by path
    """

    way: str
    server: Server
    folder: Path
    kept: dict[str, str] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    retries: int = 0
    problem: str = ""

    @property
    def name(self) -> str:
        return f"ada/by-{self.way}"

    def upload(self, number: int) -> None:
        """Send one file, again and again until it is there."""
        content = os.urandom(200_000 if self.way == "plain" else 3_000_000)
        if self.way == "plain":
            content = content.hex().encode()
        path = f"folder-{number % 3}/{number}.{'txt' if self.way == 'plain' else 'bin'}"
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                head = self._send(path, content)
            except Exception as error:  # whatever a client makes of a server that is gone
                self.retries += 1
                self.problem = f"{type(error).__name__}: {error}"
                time.sleep(0.3)
            else:
                self.kept[path] = hashlib.sha256(content).hexdigest()
                self.heads.append(head)
                self.problem = ""
                return

    def _send(self, path: str, content: bytes) -> str:
        if self.way == "git":
            return self._push(path, content)
        api = self.server.api("ada")
        file = self.folder / f"{self.way}.bin"
        file.write_bytes(content)
        if self.way == "lfs":
            return self._send_without_xet(path, file)
        return str(api.create_commit(self.name, [CommitOperationAdd(path, file)], commit_message=path).oid)

    def _send_without_xet(self, path: str, file: Path) -> str:
        program = (
            "import sys; from huggingface_hub import CommitOperationAdd, HfApi; url, name, path, file = sys.argv[1:]; "
            "made = HfApi(endpoint=url).create_commit(name, [CommitOperationAdd(path, file)], commit_message=path); "
            "print(made.oid)"
        )
        env = os.environ | {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": self.server.secrets["ada"]}
        env.pop("HF_HUB_DISABLE_IMPLICIT_TOKEN", None)
        words = [sys.executable, "-c", program, self.server.url, self.name, path, str(file)]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return done.stdout.split()[-1]

    def _push(self, path: str, content: bytes) -> str:
        at = self.folder / "clone"
        secret = self.server.secrets["ada"]
        url = f"{self.server.url.replace('://', f'://ada:{secret}@')}/{self.name}"
        if not (at / ".git").exists():
            self._git("clone", "-q", url, str(at))
            self._git("lfs", "install", "--local", at=at)
        if not (at / path).exists():
            (at / path).parent.mkdir(exist_ok=True)
            (at / path).write_bytes(content)
            self._git("add", "-A", at=at)
            self._git("commit", "-qm", path, at=at)
        self._git("push", "-q", "origin", "HEAD:main", at=at)
        return self._git("rev-parse", "HEAD", at=at).strip()

    def _git(self, *words: str, at: Path | None = None) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "NO_PROXY": "127.0.0.1",
            **{f"GIT_{who}_{what}": "ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        done = subprocess.run(
            ["git", *words], cwd=at or self.folder, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "hub", words=("--no-inference",))
    made.start()
    try:
        yield made
    finally:
        made.stop()


def inside(server: Server, work: Callable[[Gatekeeper], Any]) -> Any:
    async def whole() -> Any:
        gatekeeper = assemble(server.settings)
        try:
            return await work(gatekeeper)
        finally:
            await close(gatekeeper)

    return asyncio.run(whole())


def must_be_sound(server: Server, clients: list[Client]) -> None:
    """What lies on the disk right after a kill, before anything has a chance to mend it."""

    async def look(gatekeeper: Gatekeeper) -> Report:
        async with gatekeeper.db.read() as s:
            for client in clients:
                repo = await repos.require(s, RepoKind.MODEL, client.name)
                for ref in await repos.history.refs(s, repo):
                    assert await repos.resolve_revision(s, repo, ref.name), f"seed {SEED}: {ref.name} leads nowhere"
                head = await repos.resolve_revision(s, repo, "main")
                files = {entry.path for entry in await repos.tree(s, repo, head, recursive=True)}
                assert client.kept.keys() <= files, f"seed {SEED}: {client.way} lost a file"
                past = {commit.oid for commit in await repos.history.commits(s, repo, "main", limit=10_000)}
                assert past.issuperset(client.heads), f"seed {SEED}: {client.way} lost a commit"
            return await repos.verify(s, gatekeeper.store)

    report = inside(server, look)
    assert report.is_sound, f"seed {SEED}: {report.missing} {report.damaged}"


def test_nothing_answered_for_is_lost_whenever_the_server_dies(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = random.Random(SEED)
    clients = [Client(way, server, tmp_path / way) for way in _WAYS]
    for client in clients:
        client.folder.mkdir()
        server.api("ada").create_repo(client.name)
    kills = 0
    for start in range(0, UPLOADS, len(clients)):
        numbers = range(start, min(start + len(clients), UPLOADS))
        threads = [
            threading.Thread(target=client.upload, args=(number,))
            for client, number in zip(clients, numbers, strict=False)
        ]
        for thread in threads:
            thread.start()
        time.sleep(moments.uniform(0.02, 1.5))
        server.kill()
        kills += 1
        must_be_sound(server, clients)
        server.start()
        for thread in threads:
            thread.join(240)
        assert [client.problem for client in clients] == [""] * len(clients), f"seed {SEED}"
    assert sum(len(client.kept) for client in clients) == UPLOADS
    must_be_sound(server, clients)
    for client in clients:
        for path, digest in client.kept.items():
            got = hf_hub_download(
                client.name, path, endpoint=server.url, cache_dir=tmp_path / "cache", token=server.secrets["ada"]
            )
            assert hashlib.sha256(Path(got).read_bytes()).hexdigest() == digest
    swept = sweep_tomorrow(server)
    print(f"seed {SEED}: {kills} kills, {sum(c.retries for c in clients)} retries, swept {swept}")
    assert not list((server.settings.storage_dir / "staging").iterdir())
    must_be_sound(server, clients)


def sweep_tomorrow(server: Server) -> Swept:
    """What `repos gc` removes of what kills left, once it is old enough that no upload can still need it."""
    old = time.time() - 3 * 24 * 3600
    for path in (server.settings.storage_dir / "staging").iterdir():
        os.utime(path, (old, old))
    return inside(server, lambda gatekeeper: repos.collect(gatekeeper.db, gatekeeper.store))
